"""The rule that hears a wish for a person, or to stop waiting, before any model is asked.

A missed wish is the worst error, so the rule is generous with short messages; in longer ones it wants a verb
("转", "talk to") and lets complaints about unreachable people pass ("转不到人工").
"""

import re
import unicodedata

_ZH_PERSON = r"(?:人工|真人|活人|人工客服|人工服务|人工坐席|真人客服)"
_ZH_ALONE = re.compile(
    rf"^(?:我|你们?|你们这|这里?|到底|请|麻烦|给我|帮我|快|要|想|找|转|转接|接|叫|来|个|一个|一下|有没有|能不能|可以|可不可以)*{_ZH_PERSON}"
    r"(?:客服|服务|坐席|接听|处理|回复|电话|吧|呢|啊|呀|吗|谢谢|好吗|可以吗|行吗|在吗)*$"
)
_ZH_ASKS = re.compile(
    rf"(?:转|转接|接|找|叫|换|要|请|安排|联系)(?:一下|给我|给|到|个|一个|一位|你们的?|我要)?{_ZH_PERSON}(?!费|智能|成本|操作|降|改)"
    r"|(?:跟|和|同|与)(?:真人|人工|活人)(?:说|谈|聊|讲|沟通|对话)"
    r"|(?:别|不要|不想)(?:再)?(?:跟|和)?(?:我)?(?:用|说|跟)?机器人?(?:说|聊|话|回)"
    r"|(?:找|叫|让)(?:你们)?(?:领导|经理|主管|负责人)(?:来|接|跟我|回)"
)
_ZH_COMPLAINS = re.compile(
    r"(?:转|接|找|打|等)(?:不到|不了|不通|不上|半天|了半天|来转去)|(?:没有|没|无)(?:人工|真人)(?:接|理|服务|可转)"
    r"|(?:一直|总是|老是|就是|从来)(?:都)?(?:没|转|打|接|不|在?排)"
)
_EN_PERSON = (
    r"(?:human|person|people|agent|operator|representative|rep|someone|somebody|advisor|adviser|manager|supervisor)"
)
_EN_ALONE = re.compile(
    rf"^(?:i |a |an |the |real |live |want |need |would like |get |give me |please |now |just |some |human |customer |service )*{_EN_PERSON}"
    r"(?: please| now| help| agent| here| asap| thanks)*$"
)
_EN_ASKS = re.compile(
    r"\b(?:talk|speak|chat|connect|transfer|put|pass|get|switch|hand|forward)(?:ing)?(?: me)?(?: (?:over|through|on))?"
    rf"(?: to| with)? (?:a |an |the |one of |your |some |another |actual |real |live |human )*{_EN_PERSON}\b"
    rf"|\b(?:want|need|give me|get me|i'd like|would like) (?:a |an |the |some |real |live |actual |human )+{_EN_PERSON}\b"
)
_EN_COMPLAINS = re.compile(
    r"\b(?:never|cannot|can't|cant|couldn't|could not|impossible|unable|not able|no way|hours|minutes|refused?)\b"
)
_STOP = re.compile(
    r"^(?:我)?(?:不等了?|不用等了?|别等了|不想等了?|不排了?|取消排队|退出排队|不用人工了?|不转了|返回机器人)(?:吧|谢谢)*$"
    r"|^(?:please )?(?:stop waiting|cancel (?:the )?queue|leave (?:the )?queue|i don'?t want to wait|no need to wait"
    r"|back to (?:the )?bot)(?: please| thanks)?$"
)
_NOISE = re.compile(r"[^\w' ]+", re.UNICODE)
LONGEST = 400  # characters looked at, from the start and from the end


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold().replace("轉", "转").replace("’", "'")
    return " ".join(_NOISE.sub(" ", folded).split())


def asks_for_person(text: str) -> bool:
    """Whether the speaker wants a person now. "人工费怎么收" and "客服态度差" do not."""
    plain = _plain(text if len(text) <= 2 * LONGEST else text[:LONGEST] + " " + text[-LONGEST:])
    squeezed = plain.replace(" ", "")
    if _ZH_ALONE.match(squeezed) or _EN_ALONE.match(plain):
        return True
    if _ZH_ASKS.search(squeezed) and not _ZH_COMPLAINS.search(squeezed):
        return True
    return bool(_EN_ASKS.search(plain)) and not _EN_COMPLAINS.search(plain)


def stops_waiting(text: str) -> bool:
    """Whether somebody in the queue does not want to wait any longer."""
    plain = _plain(text[:LONGEST])
    return bool(_STOP.match(plain) or _STOP.match(plain.replace(" ", "")))
