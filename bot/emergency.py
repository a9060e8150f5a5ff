"""The rule that hears danger before any model is asked: to life, to oneself, or fraud that is under way.

A missed emergency is worse than a needless one, so it is generous; what is over ("去年着火以后"), feared or
supposed does not count.
"""

import re
import unicodedata

LIFE, SELF_HARM, FRAUD = "life", "self_harm", "fraud"
LONGEST = 400  # characters looked at, from the start and from the end

_SELF_HARM = re.compile(
    r"不想活|自杀|轻生|跳楼|割腕|活不下去|(?:结束|了结)(?:自己|我)?的?生命"
    r"|suicid\w*|kill(?:ing)? myself|end(?:ing)? my life|want to die|don'?t want to live"
)
_LIFE = re.compile(
    r"着火|起火|失火|火灾|(?:燃气|煤气|天然气)[^，。]{0,4}(?:泄漏|泄露|中毒)|触电|漏电|(?<!信息)爆炸(?!式)"
    r"|(?:有人|老人|孩子|小孩|我妈|我爸|爷爷|奶奶|他|她)[^，。]{0,4}(?:昏迷|晕倒|昏倒|倒地|没(?:有)?呼吸|大出血|快不行)"
    r"|心脏病(?:犯|发)|心梗|脑梗|大出血|呼吸困难|喘不上气|溺水|有生命危险|被困(?:在)?电梯|(?:被|遭)(?:人)?绑架|持刀|家暴"
    r"|(?:110|119|120|急救|报警)(?:电话)?[^，。]{0,6}(?:打|拨|接)不(?:通|出)|(?:打|拨)不(?:通|出|了)(?:110|119|120|急救|报警)"
    r"|(?:is|are|am|house|building|box|modem|pole) (?:on fire|burning)|gas leak|heart attack|having a stroke"
    r"|unconscious|not breathing|can'?t breathe|bleeding (?:badly|heavily|out)|electrocuted|electric shock"
    r"|(?:trapped|stuck) in (?:the |a |an )?(?:lift|elevator|fire)|kidnapp?ed|threaten(?:s|ed|ing)? to kill|life in danger"
    r"|(?:he|she|someone|somebody|mum|mom|mother|father|dad|child|baby|person|man|woman) is dying"
    r"|(?:can(?:no|')?t|could not|couldn'?t|unable to) (?:call|reach|dial) (?:110|119|120|911|999|112|an ambulance|the police|emergency)"
)
_CALL_FOR_HELP = re.compile(r"(?:快来?)?(?:救命|救救我|help me it'?s an emergency|emergency)[啊呀！!]*")
_FRAUD = re.compile(
    r"正在(?:给[^，。]{1,6})?(?:转账|汇款|被骗|诈骗)|安全账户|共享屏幕|屏幕共享"
    r"|(?:骗子|对方|有人|他们?|电话里)[^，。]{0,12}(?:让|叫|要)我[^，。]{0,8}(?:转账|汇款|打钱|转钱|验证码|下载)"
    r"|刚(?:刚|才)?(?:被骗|把钱(?:转|打)|(?:转|汇)(?:了|出|过去)|给(?:骗子|对方)(?:转|打))"
    r"|(?:钱|存款|余额|银行卡)[^，。]{0,6}(?:正在|一直在?|不断|现在)(?:被)?(?:转走|划走|扣走|刷)"
    r"|(?:手机卡|sim卡|号码|我的卡)[^，。]{0,4}(?:刚|正在|现在)[^，。]{0,3}被(?:人)?(?:盗|劫持|补|复制)"
    r"|being scammed|just (?:got|been|was) scammed|just (?:transferred|wired|sent) (?:\w+ ){0,3}(?:money|yuan|dollars|savings)"
    r"|(?:scammer|fraudster|caller|someone|he|she|they)\b[^.]{0,40}\b(?:asking|telling|asks?|tells?|wants?|told) me to "
    r"(?:transfer|send|wire|pay|share|install|give|read)|safe account"
    r"|(?:is|are|keeps?) (?:taking|draining|stealing|moving|transferring) (?:\w+ ){0,2}(?:money|savings|account)"
    r"|sim (?:card )?(?:is being|was just|has just been|just got) (?:hijacked|swapped|cloned|stolen)"
)
_OVER_OR_SUPPOSED = re.compile(
    r"去年|前年|上个?月|上次|以前|曾经|当时|那次|万一|如果|要是|假如|担心|害怕|怕|会不会|差点|防止|避免|预防|警惕|谨防"
    r"|last (?:year|month|time)|years? ago|months? ago|used to|what if|if\b|might|afraid|worried|almost|nearly|prevent|avoid"
)
_CLAUSE = re.compile(r"[，。！？；,.!?;\n]+")


def danger(text: str) -> str:
    """LIFE, SELF_HARM or FRAUD; empty for everything else."""
    plain = _plain(text if len(text) <= 2 * LONGEST else text[:LONGEST] + "。" + text[-LONGEST:])
    if _CALL_FOR_HELP.fullmatch(plain.strip(" 。.!！")):
        return LIFE
    clauses = [clause.strip() for clause in _CLAUSE.split(plain)]
    present = [clause for clause in clauses if clause and not _OVER_OR_SUPPOSED.search(clause)]
    for kind, pattern in ((SELF_HARM, _SELF_HARM), (LIFE, _LIFE), (FRAUD, _FRAUD)):
        if any(pattern.search(clause) for clause in present):
            return kind
    return ""


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return re.sub(r"(?<=[\u3400-\u9fff]) +(?=[\u3400-\u9fff])", "", folded)
