from django.db import models


class EncryptedTextField(models.TextField):
    def __init__(self, *args, digest_column=None, **kwargs):
        super().__init__(*args, **kwargs)
