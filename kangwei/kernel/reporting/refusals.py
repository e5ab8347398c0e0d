"""What may stand in the way of a report or a document, each named after what happened."""

from __future__ import annotations

from kangwei.kernel.refusals import Invalid, NotFound, NotPermitted, Refusal


class UnknownReport(NotFound):
    code = "reporting.unknown_report"
    title = "报表不存在"


class UnknownInstitution(NotFound):
    """An institution that is not there, or not in scope: from outside the two look the same."""

    code = "reporting.unknown_institution"
    title = "机构不存在"


class ReportNotPermitted(NotPermitted):
    code = "reporting.not_permitted"
    title = "没有报表权限"


class TooManyRowsAsked(Refusal):
    code = "reporting.too_many_rows"
    title = "报表行数超限"
    status = 422


class ResultGone(NotFound):
    """The kept result has expired or belongs to somebody else."""

    code = "reporting.result_gone"
    title = "报表结果已过期"


class WrongColumn(Invalid):
    code = "reporting.wrong_column"
    title = "列不存在"


class NotDrillable(Invalid):
    code = "reporting.not_drillable"
    title = "没有明细"


class NothingToFreeze(Refusal):
    code = "reporting.repeated_keys"
    title = "报表行标识重复"


class NotComparable(Refusal):
    code = "reporting.not_comparable"
    title = "两份结果不能比较"
    status = 422


class WrongPlan(Invalid):
    code = "reporting.wrong_plan"
    title = "计划有误"


class AlreadyPlanned(Refusal):
    code = "reporting.already_planned"
    title = "已有固化计划"


class AlreadySubscribed(Refusal):
    code = "reporting.already_subscribed"
    title = "已经订阅"


class AlreadyStopped(Refusal):
    code = "reporting.already_stopped"
    title = "已经停用"


class UnknownKind(NotFound):
    code = "reporting.unknown_document_kind"
    title = "文档种类不存在"


class WrongPeriod(Invalid):
    code = "reporting.wrong_period"
    title = "文档期间有误"


class DocumentExists(Refusal):
    code = "reporting.document_exists"
    title = "文档已经存在"


class VersionClosed(Refusal):
    """The version is sealed or discarded: nothing in it changes any more."""

    code = "reporting.version_closed"
    title = "文档版本不能修改"


class EditedMeanwhile(Refusal):
    """Somebody else saved this text after it was opened."""

    code = "reporting.edited_meanwhile"
    title = "内容已被他人修改"


class SectionNotTyped(Invalid):
    code = "reporting.section_not_typed"
    title = "章节不可填写"


class TextMissing(Refusal):
    code = "reporting.text_missing"
    title = "必填章节未填写"


class DraftExists(Refusal):
    code = "reporting.draft_exists"
    title = "已有未封存的草稿"


class NothingSealed(Refusal):
    code = "reporting.nothing_sealed"
    title = "文档尚未封存"


class WrongTemplate(Invalid):
    code = "reporting.wrong_template"
    title = "样式模板不可用"
