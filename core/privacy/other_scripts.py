"""Names of people in Cyrillic, Japanese, Chinese and Korean writing, told by their form or by what stands beside."""

from __future__ import annotations

import re

_CAPITAL = r"[А-ЯЁІЇЄҐ](?:[а-яёіїєґ'’-]+|[А-ЯЁІЇЄҐ'’-]+)"
_PATRONYMIC = (
    r"[А-ЯЁІЇЄ](?i:[а-яёіїє'’]+(?:[оеє]вич(?:а|у|ем|е)?|ьич(?:а|у|ом|е)?|[оеїє]вн(?:а|ы|е|у|ой|і)"
    r"|иничн(?:а|ы|е|у|ой)))\b"
)
_GIVEN = (
    r"(?i:александр|александра|алексей|алёна|алина|алла|анастасия|анатолий|андрей|анна|антон|борис|вадим|валентина|валерий"
    r"|василий|вера|виктор|виктория|виталий|владимир|вячеслав|галина|геннадий|георгий|григорий|дарья|денис|дмитрий|евгений"
    r"|евгения|екатерина|елена|елизавета|иван|игорь|ирина|кирилл|константин|ксения|лариса|леонид|лидия|любовь|людмила"
    r"|максим|маргарита|марина|мария|михаил|надежда|наталья|наталия|никита|николай|нина|оксана|олег|олександр|олена|ольга"
    r"|павел|пётр|петр|полина|раиса|роман|светлана|сергей|сергій|станислав|степан|тамара|татьяна|фёдор|юлия|юрий|яна)"
)
_FAMILY = (
    r"[А-ЯЁІЇЄҐ](?i:[а-яёіїєґ'’-]+(?:[оеё]в|[оеё]ва|ин|ина|[сц]кий|[сц]кая|[сц]ький|[сц]ька|енко|чук|щук|юк|ых|их))\b"
)
_BEHIND = (
    r"(?i:пациент(?:ка|а|ки|у|ке)?|больн(?:ой|ая|ого|ому)|врач(?:а|ом)?|доктор(?:а|ом)?|хирург(?:а|ом)?|медсестра|фио"
    r"|ф\.\s?и\.\s?о\.|фамилия|г-н|г-жа|хворий|хвора|лікар)"
)
_CYRILLIC = tuple(
    re.compile(form)
    for form in (
        rf"{_CAPITAL}\s+{_PATRONYMIC}",
        rf"\b[А-ЯЁІЇЄ]\.\s*{_PATRONYMIC}",
        rf"\b{_CAPITAL}\s+[А-ЯЁІЇЄ]\.\s?[А-ЯЁІЇЄ]\.",
        rf"\b[А-ЯЁІЇЄ]\.\s?[А-ЯЁІЇЄ]\.\s?{_CAPITAL}\b",
        rf"\b{_BEHIND}(?:\s*:\s*|\s+){_FAMILY}",
        rf"\b{_GIVEN}\s+{_FAMILY}|\b{_FAMILY}\s+{_GIVEN}\b",
    )
)
_ALONE = re.compile(r"[А-ЯЁІЇЄ](?i:[а-яёіїє'’-]+(?:[оеё]в|[оеё]ва|[сц]кий|[сц]кая|енко|чук|щук))")
_JAPANESE = (
    "佐藤|鈴木|高橋|田中|伊藤|渡辺|渡邊|渡部|山本|中村|小林|加藤|吉田|山田|佐々木|山口|松本|井上|木村|斎藤|斉藤|齋藤|清水|山崎|阿部"
    "|池田|橋本|山下|石川|中島|前田|藤田|小川|後藤|岡田|長谷川|村上|近藤|石井|坂本|遠藤|青木|藤井|西村|福田|太田|三浦|藤原|岡本|松田"
    "|中川|中野|原田|小野|田村|竹内|金子|和田|中山|石田|上田|森田|柴田|酒井|工藤|横山|宮崎|宮本|内田|高木|安藤|谷口|大野|丸山|今井"
    "|高田|藤本|武田|村田|上野|杉山|増田|平野|大塚|千葉|久保|松井|小島|岩崎|桜井|野口|松尾|菊地|菊池|野村|新井|渡会|佐野|古川|川口"
)
_HAN, _KANA = r"[々\u3400-\u9fff]", r"[\u3041-\u3096\u30a1-\u30faー]"
_NAMED = rf"(?:{_HAN}|{_KANA}){{2,6}}(?:[ \u3000](?:{_HAN}|{_KANA}){{1,5}})?"
_NO_PERSON = rf"(?!(?:{_HAN}|{_KANA}){{0,2}}(?:病|症|式|法|炎|群|県|市|区|町|駅|院|大学|分類|基準|部|科))"
_EASTERN = tuple(
    re.compile(form)
    for form in (
        rf"(?:患者氏名|患者名|氏名|名前|姓名|フリガナ|カナ氏名)[ \u3000]*[:：][ \u3000]*{_NAMED}",
        rf"(?:患者|主治医|担当医|執刀医|紹介医|記載者|医師|看護師)[ \u3000:：]*(?:{_JAPANESE}){_NO_PERSON}",
        rf"(?<!{_HAN})(?:{_JAPANESE}){_NO_PERSON}(?:[ \u3000]?(?:{_HAN}|{_KANA}){{1,4}}?)?[ \u3000]?"
        r"(?:様|さん|殿|氏|先生|医師)",
        r"(?:환자|환자명|성명|이름|성함)\s*[:：]\s*[가-힣]{2,4}",
        r"(?:환자|담당의|주치의)\s+[김이박최정강조윤장임한오서신권황안송전홍유][가-힣]{2}(?=\s|$|님|씨|[은는이가을를])",
    )
)
_WHOLE = re.compile(rf"(?:{_JAPANESE}){_NO_PERSON}[ \u3000]?(?:{_HAN}{{1,3}}|{_KANA}{{2,5}})")


def names_in_other_scripts(text: str) -> bool:
    """Whether a text names someone in a script that has no capitals, or other ones.

    >>> [names_in_other_scripts(text) for text in ("Пациент Иванов И.П.", "患者名：山田太郎", "鈴木一郎先生")]
    [True, True, True]
    >>> [names_in_other_scripts(text) for text in ("Болезнь Паркинсона", "橋本病", "山口県", "Общий анализ крови")]
    [False, False, False, False]
    """
    if text.isascii():
        return False
    return any(form.search(text) for form in (*_CYRILLIC, *_EASTERN)) or bool(_WHOLE.fullmatch(text.strip()))


def may_be_cyrillic_surname(text: str) -> bool:
    """Whether a single word has the ending of a Slavic surname, of those that words of medicine hardly have.

    >>> may_be_cyrillic_surname("Иванов"), may_be_cyrillic_surname("Гепарин")
    (True, False)
    """
    return bool(_ALONE.fullmatch(text.strip()))
