"""Languages as films name them: one language whichever of its codes stands in a tag, and its names in titles.

Codes are those of ISO 639 (the Library of Congress keeps the list: loc.gov/standards/iso639-2): a language has up to
three, "de" (639-1), "deu" (639-2/T, in MP4) and "ger" (639-2/B, in Matroska). Where the fourth column names more, films
use them for the same speech: a language's single varieties (Mandarin is tagged zho and cmn), and codes of before.
The last column is what rippers write in titles: the language's own name, in its own script and without accents.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Final

_TABLE: Final = """
af afr afr -                   Afrikaans
ar ara ara arb,arz             Arabic: العربية
bg bul bul -                   Bulgarian: български
bn ben ben -                   Bengali: Bangla, বাংলা
bs bos bos -                   Bosnian: bosanski
ca cat cat -                   Catalan: català, catala
cs ces cze -                   Czech: čeština, cestina, česky, cesky
cy cym wel -                   Welsh: Cymraeg
da dan dan -                   Danish: dansk
de deu ger gsw,nds             German: deutsch
el ell gre -                   Greek: ελληνικά
en eng eng -                   English
es spa spa -                   Spanish: español, espanol, castellano, latino
et est est ekk                 Estonian: eesti
eu eus baq -                   Basque: euskara
fa fas per pes                 Persian: Farsi, فارسی
fi fin fin -                   Finnish: suomi
fil fil fil tl,tgl             Filipino: Tagalog
fr fra fre -                   French: français, francais, VFF, VFQ
ga gle gle -                   Irish: Gaeilge
gl glg glg -                   Galician: galego
gu guj guj -                   Gujarati: ગુજરાતી
he heb heb iw                  Hebrew: עברית
hi hin hin -                   Hindi: हिन्दी, हिंदी
hr hrv hrv scr                 Croatian: hrvatski
hu hun hun -                   Hungarian: magyar
id ind ind in                  Indonesian: bahasa indonesia
is isl ice -                   Icelandic: íslenska, islenska
it ita ita -                   Italian: italiano
ja jpn jpn -                   Japanese: 日本語
ka kat geo -                   Georgian: ქართული
kn kan kan -                   Kannada: ಕನ್ನಡ
ko kor kor -                   Korean: 한국어
la lat lat -                   Latin
lt lit lit -                   Lithuanian: lietuvių, lietuviu
lv lav lav lvs                 Latvian: latviešu, latviesu
mk mkd mac -                   Macedonian: македонски
ml mal mal -                   Malayalam: മലയാളം
mr mar mar -                   Marathi: मराठी
ms msa may zsm                 Malay: melayu
nl nld dut vls                 Dutch: Nederlands, Vlaams, Flemish
no nor nor nb,nob,nn,nno       Norwegian: norsk
pa pan pan -                   Punjabi: ਪੰਜਾਬੀ
pl pol pol -                   Polish: polski
pt por por -                   Portuguese: português, portugues, brasileiro
ro ron rum mo,mol              Romanian: română, romana
ru rus rus -                   Russian: русский
sk slk slo -                   Slovak: slovenčina, slovencina, slovensky
sl slv slv -                   Slovenian: slovenščina, slovenscina
sq sqi alb als                 Albanian: shqip
sr srp srp scc                 Serbian: srpski, српски
sv swe swe -                   Swedish: svenska
sw swa swa swh                 Swahili: kiswahili
ta tam tam -                   Tamil: தமிழ்
te tel tel -                   Telugu: తెలుగు
th tha tha -                   Thai: ไทย
tr tur tur -                   Turkish: Türkçe, turkce
uk ukr ukr -                   Ukrainian: українська
ur urd urd -                   Urdu: اردو
vi vie vie -                   Vietnamese: tiếng việt
zh zho chi cmn,yue,wuu,nan     Chinese: Mandarin, Cantonese, 中文, 普通话, 普通話, 国语, 國語, 粤语, 粵語
"""
_SAYS_NOTHING: Final = frozenset({"", "und", "unk", "undefined", "unknown", "mis", "mul"})
_MADE_TITLE: Final = re.compile(r"(\w+) 2\.0")


@dataclass(frozen=True, slots=True)
class Language:
    """One language."""

    code: str
    """ISO 639-2/T: what MP4 stores."""
    bibliographic: str
    """ISO 639-2/B: what Matroska stores."""
    name: str
    """In English: "German"."""
    tags: frozenset[str]
    """Every tag that means it, in lower case: codes and names."""
    in_title: re.Pattern[str]
    """Finds it in a title: by a name; by a code only in capitals or as the first word, since many are words ("dan")."""

    @property
    def made_title(self) -> str:
        """What a stereo track in this language that we made is called."""
        return f"{self.name} 2.0"


@functools.cache
def known() -> dict[str, Language]:
    """Give every language by each of its tags."""
    return {tag: language for language in map(_language, _TABLE.strip().splitlines()) for tag in language.tags}


def of_tag(tag: str) -> Language | None:
    """Give the language that a tag means: by the first part of "de-CH", "de_CH"; None for one not in the table."""
    return known().get(_primary(tag))


def says_nothing(tag: str) -> bool:
    """Tell whether a tag leaves the language open."""
    return _primary(tag) in _SAYS_NOTHING


def is_made_title(title: str) -> bool:
    """Tell whether a track bears a title that only we give."""
    match = _MADE_TITLE.fullmatch(title)
    return bool(match and (language := of_tag(match[1])) and language.made_title == title)


def _primary(tag: str) -> str:
    return re.split(r"[-_]", tag.strip().lower(), maxsplit=1)[0]


def _language(line: str) -> Language:
    short, code, bibliographic, more, names = line.split(maxsplit=4)
    name, _, own = names.partition(": ")
    codes = {short, code, bibliographic, *more.split(",")} - {"-"}
    spoken = [name, *own.split(", ")] if own else [name]
    written = "|".join(sorted(word for word in codes if len(word) == 3))
    in_title = re.compile(
        rf"(?<!\w)(?i:{'|'.join(map(re.escape, spoken))})(?!\w)|\b(?:{written.upper()})\b|^\W*(?i:{written})\b"
    )
    return Language(code, bibliographic, name, frozenset({*codes, *map(str.lower, spoken)}), in_title)
