"""Which characters are Chinese, and which language a text is mostly in."""

import re

from ._fields import require_text

# Han characters as the inside of a character class: the main block, extension A, compatibility, the further planes,
# and the two signs that stand among them (the repetition mark and the zero).
HAN_RANGES = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af\u3005\u3007"
HAN = re.compile(f"[{HAN_RANGES}]")
_LETTER = re.compile(r"[^\W\d_]")


def detect_language(text: str, share: float = 0.2) -> str:
    """Return "zh" when at least `share` of the letters are Chinese characters, otherwise "en".

    A Chinese word is one or two characters and an English one about five letters, so a text that is half Chinese has
    far fewer than half of its letters there: hence the low default. A text without letters counts as "en".
    """
    letters = len(_LETTER.findall(require_text(text)))
    return "zh" if letters and len(HAN.findall(text)) >= share * letters else "en"
