"""[tickets]: who answers when nobody else is named, and the kinds of problems people choose from."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from agent.plant.settings import Name


class CategorySettings(BaseModel):
    """One tile of the report page."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z][a-z0-9_]{0,30}$", description="short and stable; stands in records")
    name: Name = Field(description="what people call it")
    hint: Name = Field(description="examples, one line")
    icon: str = Field(
        default="dots",
        pattern="^(spark|caliper|surface|bolt|gear|box|scan|hat|dots)$",
        description="a mark of the page: spark caliper surface bolt gear box scan hat dots",
    )
    owner: str | None = Field(default=None, description="employee number of who answers for it")


def _category(id_: str, zh: str, en: str, hint_zh: str, hint_en: str, icon: str) -> CategorySettings:
    return CategorySettings(id=id_, name=Name(zh=zh, en=en), hint=Name(zh=hint_zh, en=hint_en), icon=icon)


CATEGORIES = [
    _category("dimension", "尺寸", "Dimension", "厚度、宽度、间隙", "thickness, width, gap", "caliper"),
    _category("surface", "外观", "Surface", "划伤、凹坑、脏污", "scratch, dent, dirt", "surface"),
    _category("welding", "焊接", "Welding", "虚焊、飞溅、炸点", "cold weld, spatter, blow hole", "spark"),
    _category("electrical", "电性能", "Electrical", "绝缘、内阻、压差", "insulation, resistance, voltage", "bolt"),
    _category("equipment", "设备", "Equipment", "停机、异响、报警", "stop, noise, alarm", "gear"),
    _category("material", "物料", "Material", "来料、混料、缺料", "incoming, mixed, missing", "box"),
    _category("trace", "追溯", "Traceability", "扫不出、条码错", "cannot scan, wrong code", "scan"),
    _category("safety", "安全", "Safety", "人身、烟、温度", "people, smoke, heat", "hat"),
    _category("other", "其他", "Other", "班长来选", "team leader chooses", "dots"),
]


class TicketSettings(BaseModel):
    """[tickets]"""

    model_config = ConfigDict(extra="forbid", frozen=True)

    default_owner: str = Field(min_length=1, description="employee number of who answers when nobody else is named")
    quality: list[str] = Field(default_factory=list, description="employee numbers brought into every group")
    categories: list[CategorySettings] = Field(default_factory=lambda: list(CATEGORIES), min_length=1,
                                               description="kinds of problems, in the order of the page")  # fmt: skip
    sweep_s: float = Field(default=1.0, ge=0.2, le=10, description="how often deadlines are swept, seconds")

    @field_validator("categories")
    @classmethod
    def _once(cls, categories: list[CategorySettings]) -> list[CategorySettings]:
        ids = [category.id for category in categories]
        if twice := sorted({id_ for id_ in ids if ids.count(id_) > 1}):
            raise ValueError(f"id {twice[0]!r} stands twice; give each category its own")
        return categories
