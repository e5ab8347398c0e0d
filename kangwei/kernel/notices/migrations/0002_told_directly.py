from pathlib import Path

from django.db import migrations, models

import kangwei.kernel.crypto.fields


class Migration(migrations.Migration):
    dependencies = [("notices", "0001_initial")]

    operations = [
        migrations.AddField(
            "delivery", "only_here", models.BooleanField(default=False, verbose_name="只走本渠道")
        ),
        migrations.AddField(
            "delivery",
            "secret",
            kangwei.kernel.crypto.fields.EncryptedTextField(
                blank=True, default="", verbose_name="仅接收人可见"
            ),
        ),
        migrations.RunSQL(
            (Path(__file__).parent / "append_only.sql").read_text(encoding="utf-8"),
            reverse_sql=migrations.RunSQL.noop,
        ),
    ]
