"""Names in other scripts, and single surnames in columns whose names tell nothing; words of medicine beside them."""

from __future__ import annotations

import pytest

from core.intake.identifiers.text.free_text import in_free_text
from core.intake.identifiers.text.names_alone import identifies

NAMES = [
    "Пациент Иванов Иван Петрович", "Иванов И.П.", "И. П. Иванов", "Осмотр: Смирнова Анна Сергеевна",
    "врач Кузнецов", "врач Спирин", "Пётр Чайковский", "у Анны Сергеевны, А. Сергеевна", "пациентка Лікар Шевченко",
    "患者 山田太郎", "患者名:山田太郎", "氏名：王小明", "山田 太郎様", "鈴木一郎先生", "主治医 佐藤", "山田太郎",
    "пациентка Ангинова", "姓名：王小明", "환자 김철수", "성명: 김철수",
]  # fmt: skip
TERMS = [
    "Рак лёгкого, верхняя доля", "Хроническая обструктивная болезнь лёгких", "Болезнь Паркинсона", "Проба Манту",
    "Синдром Иценко-Кушинга", "Общий анализ крови", "Дыхание везикулярное. Хрипов нет.", "Гепатит А. Вирус",
    "больной жалуется на боль", "Аспирин Кардио", "Городская больница", "肺癌", "慢性閉塞性肺疾患", "橋本病",
    "前回同様", "患者様", "長谷川式", "山口県", "石川県医師会", "東京医科大学", "胸部CT", "高橋病", "患者さんへ説明",
    "Пациенту Аспирин 100 мг", "Больной: Ангина", "Пациент: Инсулин", "больной Гемоглобин 120", "Пациент Мужчина",
    "Врач: Клинический фармаколог", "ヘモグロビン", "환자 상태 안정", "폐암", "β-Blocker", "Übelkeit", "Müdigkeit",
]  # fmt: skip


@pytest.mark.parametrize("text", NAMES)
def test_names_in_other_scripts_are_found(text: str) -> None:
    assert "name" in in_free_text(text)


@pytest.mark.parametrize("text", TERMS)
def test_words_of_medicine_in_other_scripts_are_no_names(text: str) -> None:
    assert "name" not in in_free_text(text)


@pytest.mark.parametrize(
    "values",
    [
        ["Müller"],
        ["Smith", "Jones", "Zorblat"],
        ["SCHMIDT"],
        ["O'Brien"],
        ["Иванов", "Петров"],
        ["山田太郎"],
        ["Панфилов"],
        ["Чайковский"],
    ],
)
def test_single_surnames_in_a_nameless_column_are_found(values: list[str]) -> None:
    assert identifies(values) == "name"


@pytest.mark.parametrize(
    "values",
    [
        ["Aspirin", "Metoprolol"], ["Black", "White", "Brown"], ["Ward", "Surgery"], ["Right", "Left"], ["Klebsiella"],
        ["Berlin", "Hamburg"], ["Winter", "Summer", "Autumn", "Spring"], ["Гепарин", "Аспирин"], ["Parkinson"],
        ["Monday", "Friday"], ["müller"], ["Cardiology"], ["肺癌"],
        ["Женский", "Женская"], ["Терапевтическая", "Хирургический"], ["Лейкоцитов", "Нейтрофилов"],
        ["Здоров", "Готов"],
    ],
)  # fmt: skip
def test_other_single_words_are_no_surnames(values: list[str]) -> None:
    assert identifies(values) is None
