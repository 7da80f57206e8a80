"""What scans are called in Chinese, Japanese, Korean, Russian and some Latin languages: anatomy, phases, windows."""

from __future__ import annotations

import re

_UNSPACED = """
    胸部 腹部 头部 头颅 颅脑 颈部 盆腔 全腹 上腹 下腹 全腹部 上腹部 下腹部 胸腹部 平扫 增强 扫描 动脉期 静脉期 门脉期
    门静脉期 实质期 延迟期 排泄期 肺窗 纵隔窗 骨窗 软组织窗 薄层 厚层 冠状位 矢状位 轴位 横断位 重建 重组 肺动脉
    主动脉 冠脉 冠状动脉 血管 造影 肺 肝 肝脏 心脏 低剂量 定位像 三维 成像 呼气 吸气 頭部 頚部 頸部 骨盤 骨盤部 体幹
    体幹部 単純 動脈相 静脈相 門脈相 平衡相 遅延相 早期相 後期相 肺野 縦隔 条件 薄切 冠状断 矢状断 横断 再構成 肺動脈
    大動脈 冠動脈 低線量 全身 心臓 肝臓 呼気 吸気 位置決め 흉부 복부 두부 경부 골반 조영 비조영 조영제 동맥기 정맥기
    문맥기 지연기 폐 종격동 뼈 저선량 관상동맥 대동맥 폐동맥
"""
_SPACED = """
    огк обп кт мскт кта рентген грудная грудной клетка клетки легкие лёгкие легких лёгких легочная лёгочная брюшная
    брюшной полость полости головной мозг мозга шея шеи таз таза органы органов сосуды сосудов аорта аорты артериальная
    венозная портальная отсроченная паренхиматозная экскреторная нативная фаза фазы фазу контраст контрастом контраста
    контрастирование контрастированием болюсное усиление усилением костный костное мягкотканный легочный лёгочный режим
    исследование ангиография средостение средостения низкодозовая аксиальная корональная сагиттальная топограмма вдох
    выдох без мягкие ткани кости toraks akciğer akciger kontrastlı kontrastsız kontrastli kontrastsiz batın batin beyin
    boyun arteriyel
    venöz klatki klatka piersiowej piersiowa płuca pluca brzuch brzucha miednica miednicy jama jamy brzusznej tętnicza
    tetnicza żylna zylna faza kontrastem pulmão pulmao abdome arterial venosa contrastado hrudník hrudnik plíce plice
    břicho bricho mellkas hasi thoraxe borstkas buik longen brystkasse lunger mage
"""
_SIGN = r"ct|cta|ctpa|hrct|mip|mpr|vr|3d|4d|\d{1,3}(?:\.\d{1,2})?(?:mm|s|期|相)?"
_MARKS = r"[（）()：:・+＋、，/-]"
_LONGEST_FIRST = "|".join(sorted(map(re.escape, _UNSPACED.split()), key=len, reverse=True))
_WHOLE = re.compile(rf"(?:{_LONGEST_FIRST}|{_SIGN}|{_MARKS})+", re.IGNORECASE)
_WORDS = frozenset(_SPACED.split())


def is_protocol_word(folded: str) -> bool:
    """Whether a case-folded word, or a run of signs without spaces, says what was scanned and how.

    >>> is_protocol_word("胸部ct平扫+增强"), is_protocol_word("грудной"), is_protocol_word("王小明胸部")
    (True, True, False)
    """
    return folded in _WORDS or (not folded.isascii() and bool(_WHOLE.fullmatch(folded)))
