"""Who watches the watcher (守望): the outside heartbeat and the daily message that all is quiet."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from kangwei.kernel.crypto.fields import EncryptedTextField
from kangwei.kernel.notices.models.channels import Channel


class Watch(models.Model):
    """One row: where our heartbeat goes each minute, and where the morning message is sent."""

    #: The address of a heartbeat service often carries its token, so it is kept like a secret.
    heartbeat_url = EncryptedTextField("心跳地址", blank=True, default="")
    heartbeat_at = models.DateTimeField("最近一次心跳", null=True, blank=True)
    heartbeat_ok = models.BooleanField("最近一次心跳成功", default=False)
    heartbeat_note = models.CharField("心跳结果", max_length=300, blank=True)
    all_quiet = models.BooleanField("每日 08:30 发送平安消息", default=True)
    channels = models.ManyToManyField(
        Channel, blank=True, related_name="+", verbose_name="平安消息渠道"
    )

    objects: ClassVar[models.Manager[Watch]] = models.Manager()

    class Meta:
        verbose_name = "守望设置"
        verbose_name_plural = "守望设置"
        default_permissions = ()
        permissions = [("manage_watch", "维护守望设置")]
        constraints = [models.CheckConstraint(name="notices_one_watch", condition=Q(pk=1))]

    def __str__(self) -> str:
        return "守望设置"
