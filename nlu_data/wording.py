"""Normalises customers' text for the classifiers; nothing here changes what is stored or shown."""

from __future__ import annotations

import re
import unicodedata

# Traditional characters that complaints use, each beside its simplified form. Not a full converter: the free
# tables are GPL, and a linear model only needs the frequent ones.
_PAIRS = (
    "網网 絡络 訊讯 號号 電电 話话 機机 線线 視视 頻频 寬宽 帶带 斷断 開开 關关 費费 錢钱 帳账 單单 賬账 發发 票票 "
    "過过 還还 沒没 們们 這这 個个 時时 間间 點点 問问 題题 說说 講讲 請请 給给 讓让 對对 錯错 從从 後后 經经 "
    "處处 務务 員员 業业 辦办 裝装 維维 師师 傅傅 來来 幾几 萬万 兩两 買买 賣卖 換换 銷销 繳缴 額额 餘余 "
    "貴贵 漲涨 價价 優优 惠惠 動动 態态 聽听 轉转 誰谁 為为 麼么 嗎吗 會会 應应 該该 無无 當当 實实 際际 "
    "認认 識识 證证 據据 詐诈 騙骗 隱隐 護护 擾扰 廣广 簡简 體体 碼码 歡欢 迎迎 謝谢 見见 寫写 訴诉 "
    "訂订 閱阅 國国 內内 遊游 號号 戶户 區区 樓楼 縣县 鎮镇 鄉乡 車车 門门 東东 長长 現现 變变 樣样 "
    "進进 遠远 運运 選选 適适 達达 遲迟 報报 壞坏 續续 終终 結结 總总 級级 約约 紅红 綠绿 燈灯 慢慢 "
    "滿满 漏漏 測测 試试 資资 質质 購购 賠赔 償偿 贈赠 積积 換换 獎奖 園园 場场 廳厅 營营 歲岁 媽妈 爺爷 "
    "難难 離离 須须 頁页 顯显 願愿 類类 飛飞 餓饿 馬马 驗验 鬧闹 麗丽 黃黄 龍龙 氣气 煩烦 確确 禮礼 種种 "
    "窮穷 筆笔 節节 範范 糾纠 紛纷 納纳 細细 組组 統统 綁绑 縮缩 罵骂 罷罢 聯联 職职 聲声 腦脑 與与 興兴 "
    "舉举 舊旧 萬万 著着 虛虚 虧亏 補补 裡里 製制 規规 覺觉 計计 討讨 記记 設设 許许 評评 詢询 誤误 調调 "
    "談谈 論论 謊谎 變变 貨货 貼贴 賴赖 趕赶 跡迹 軟软 較较 輸输 農农 連连 週周 邊边 郵邮 醫医 鈴铃 錄录 "
    "鐘钟 陸陆 陰阴 隊队 階阶 隨随 險险 雖虽 雙双 雜杂 靈灵 靜静 響响 頭头 顧顾 風风 飯饭 騷骚 鬆松 么么"
)
_SIMPLIFIED = {ord(pair[0]): pair[1] for pair in _PAIRS.split()}

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_CJK = re.compile(r"[\u3400-\u9fff]")
_LETTER = re.compile(r"[A-Za-z]")
_SLASHES = "/／⁄∕⧸"


def normalised(text: str) -> str:
    """Lower-case NFKC text in simplified characters without control marks; runs of white space become one space."""
    folded = unicodedata.normalize("NFKC", _CONTROL.sub(" ", text)).lower().translate(_SIMPLIFIED)
    return " ".join(folded.split())


def harmless(text: str) -> str:
    """The same text, same length, with leading slashes blanked: Rasa would read `/intent{…}` as an order.

    Lone surrogates become U+FFFD, since neither JSON nor the featurisers can carry them.
    """
    head = 0
    while head < len(text) and (text[head] in _SLASHES or not text[head].isprintable() or text[head].isspace()):
        head += 1
    blank = "".join(" " if mark in _SLASHES else mark for mark in text[:head])
    return re.sub(r"[\ud800-\udfff]", "\ufffd", blank + text[head:])


def has_words(text: str) -> bool:
    """Whether there is at least one letter, character or digit: "", "！？" and emoji have none."""
    return any(mark.isalnum() for mark in text)


def language_of(text: str, otherwise: str = "zh") -> str:
    """ "zh" or "en" by the share of Chinese characters against Latin words; `otherwise` where there is neither."""
    chinese = len(_CJK.findall(text))
    latin = len(re.findall(r"[A-Za-z]{2,}", text))
    if chinese == 0 and not _LETTER.search(text):
        return otherwise
    return "zh" if chinese >= latin and chinese else "en"


def flat(text: str) -> str:
    """Full-width digits, letters and marks as ASCII, in lower case, one for one: offsets stay those of `text`."""
    return "".join(_narrow(mark) for mark in text)


def _narrow(mark: str) -> str:
    folded = unicodedata.normalize("NFKC", mark).lower()
    return folded if len(folded) == 1 else mark


_REFERENCE = re.compile(r"(?<![a-z0-9])ts(?:[-\s]?[a-z0-9]{4}){2}[-\s]?[a-z0-9](?![a-z0-9])")


def without_references(text: str) -> str:
    """References as noughts, of the same length: which letters one has must not change what the model reads."""
    found = [match.span() for match in _REFERENCE.finditer(flat(text))]
    for start, end in found:
        text = text[:start] + "0" * (end - start) + text[end:]
    return text
