"""Whole texts that leave no doubt, per intent, as patterns over normalised text; the end may carry marks."""

from __future__ import annotations

import re

_END = r"[\s。.!！~～?？,，、]*"
_PLEASE = r"(?:请|麻烦|帮我|给我|能不能|可以|我要|我想|我|要|想)*"

# `language`, `plain` and `unplain` are intents without examples: only these words make them.
_WORDS: dict[str, tuple[str, ...]] = {
    "complain": (
        r"(?:我)?(?:想|要)?(?:要|想)?投诉(?:你们|一下)?",
        r"(?:我)?(?:要|想)(?:反映|反馈)(?:个|一个|一下)?(?:问题|情况)?",
        r"登记投诉",
        r"(?:i (?:want|need|would like|wish) to |i'd like to )?(?:make a |file a |lodge a )?compla(?:in|int)(?: please)?",
    ),
    "ask_human": (
        r"(?:转|找|要|我要|接|换)?(?:人工|真人)(?:客服|服务|坐席)?",
        r"(?:a |real )?(?:human|agent|person)(?: please)?",
    ),
    "complaint_status": (r"(?:查询?|查一下)?(?:投诉|工单)?(?:进度|状态)", r"(?:check )?status"),
    "affirm": (
        r"是的?|对的?|好的?|嗯+|行|可以|确认(?:提交|撤销)?|确定|提交|没错|没问题",
        r"ok(?:ay)?|yes|y|yep|yeah|sure|correct|confirm|submit",
    ),
    "deny": (r"不是?|不对|没有|否|修改|不了|不用了?", r"no|nope|n|change|no,? thanks?"),
    "skip": (r"跳过|略过?|不知道|不清楚|不记得了?|忘了", r"skip|pass|i (?:don't|do not) know|no idea"),
    "cancel": (r"取消|算了|退出|不投诉了|不填了", r"cancel|quit|exit|forget it|never ?mind"),
    # the last is what Telegram says first
    "greet": (r"你好|您好|嗨|哈喽|在吗|开始", r"hi|hello|hey|/?start"),
    "thanks": (r"谢谢你?|多谢|感谢", r"thanks?|thank you|thx"),
    "goodbye": (r"再见|拜拜", r"bye(?: ?bye)?|goodbye|88"),
    "insult": (
        r"(?:你们?|一群|真是|全是|都是|就是|的|个|什么)*(?:垃圾|骗子|废物|混蛋|王八蛋|傻[逼叉x]|智障|脑残|流氓|强盗|滚(?:蛋|开)?|去死|sb|nmsl)(?:公司|客服|东西|吧|啊)*",
        r"(?:you )?(?:are )?(?:stupid|idiots?|morons?|useless|liars?|crooks|thieves)(?: bot)?|fuck(?: you| off)?|go to hell|screw you",
    ),
    "urge": (
        rf"{_PLEASE}(?:再)?(?:催(?:一下|下|一催|催|单|办)?|加急)(?:一下)?(?:吧|投诉|工单|这个投诉|我的投诉)?",
        r"(?:please )?(?:hurry(?: it)? up|chase it|speed it up)(?: please)?",
    ),
    "withdraw": (
        rf"{_PLEASE}(?:撤诉|(?:撤销|撤回|撤掉)(?:这个|我的)?(?:投诉|工单|申诉)?)(?:吧|了)?",
        r"(?:please )?withdraw(?: it| (?:my|the) complaint)?(?: please)?",
    ),
    "not_resolved": (
        r"(?:问题|还是|还|并|根本|都)*(?:没有?|未)(?:有)?(?:得到)?(?:解决|修好|弄好|处理好)(?:啊|呢|好)?",
        r"(?:no,? )?(?:it'?s |it is )?(?:still )?not (?:solved|fixed|resolved|working)",
    ),
    "resolved": (
        r"(?:问题)?(?:已经|都)?(?:解决|修好|弄好|搞定|处理好|恢复)(?:好)?了(?:谢谢)?|(?:问题)?已(?:经)?(?:解决|修好|恢复)|好了",
        r"(?:yes,? )?(?:it'?s |it is )?(?:all )?(?:solved|fixed|resolved)(?: now)?",
    ),
    "add_information": (
        rf"{_PLEASE}(?:再)?补充(?:一下|点|一点)?(?:说明|信息|材料|情况|内容)?",
        r"(?:i (?:want|would like|need) to )?add (?:something|information|more)(?: please)?",
    ),
    "privacy_request": (
        r"(?:关于)?我的个人信息|我的隐私|(?:about )?my personal (?:data|information)",
        r".{0,8}(?:删除?|删掉|清除|查看?|查询|导出|更正|撤回|注销|收集).{0,8}(?:个人信息|我的信息|我(?:的)?(?:所有)?(?:数据|资料)|隐私授权|聊天记录).{0,6}",
        r".{0,30}(?:what|which|see|all) (?:personal )?(?:data|information) (?:do )?you (?:hold|have|keep|store).{0,20}",
        r".{0,20}(?:delete|erase|remove|export|correct|copy of|see) (?:all )?(?:of )?my (?:personal )?(?:data|information|records).{0,20}",
    ),
    "appeal": (
        rf"{_PLEASE}(?:去|到)?申诉|怎么申诉|我有(?:什么|哪些)权利|我的权利",
        r"(?:i want to )?appeal|what are my rights|my rights|how (?:do|can) i appeal",
    ),
    "ask_process": (
        r"(?:那)?(?:接下来|然后|之后|下一步|现在)(?:呢|会?怎么(?:样|办|处理|弄)|是什么|做什么|干什么)",
        r"(?:and )?(?:what happens|what) now|what(?:'s| is| happens)? next",
    ),
    "language": (
        r".{0,6}(?:说|讲|用|换|切换|改)(?:成|到|为)?(?:中文|汉语|普通话|英文|英语)(?:吧|吗|可以|好|交流|说|回复|聊|谢谢)*",
        r"(?:中文|英文|英语)(?:吧|谢谢)?",
        r"(?:(?:can|could|do|will) )?(?:you |we )?(?:please )?(?:(?:speak|use|switch to|talk in|in|write in) )?"
        r"(?:english|chinese|mandarin)(?: please)?",
    ),
    "unplain": (
        r"(?:取消|关掉|关闭|退出|不用|不要)(?:了)?简(?:单|易)(?:模式)?(?:了)?",
        r"(?:normal|button) mode|(?:leave|stop) (?:plain|simple) mode",
    ),
    # Said by somebody about themselves; "我妈年纪大了被你们忽悠" is a story.
    "plain": (
        r"(?:请|麻烦|能不能|可以|可不可以|你)*(?:说|讲|弄|问)?(?:得)?(?:再)?简单(?:一)?(?:点|些)(?:儿|说|吗|吧|好吗|行吗)*",
        r"(?:用|开|打开|切换到?)?简(?:单|易)模式|(?:太|好)复杂了?(?:我)?(?:看|弄)?不(?:懂|会)|(?:我)?看不懂|字太多了?",
        r"(?:我)?(?:都|已经)?(?:年纪|岁数|年龄)(?:也)?大了?.{0,16}",
        r"(?:我)?(?:今年)?(?:都|已经)?(?:[六七八九]十|[6-9]\d)(?:多|几)?岁?了?(?:.{0,6}(?:不会|看不|慢)|$).{0,10}",
        r"我是?(?:个)?老(?:人|年人|头|太太)(?:.{0,6}(?:不会|看不|不懂|慢)|$).{0,10}",
        r"(?:我)?眼(?:睛)?(?:花|不好)了?.{0,10}|(?:我)?不(?:太)?会(?:用手机|打字|点按钮).{0,10}",
        r"(?:please )?(?:keep it |make it )?(?:simple|simpler)(?: please)?|(?:plain|simple|easy) mode|too complicated(?: for me)?",
        r"i(?:'m| am) (?:an? )?(?:old|elderly|\d\d years old|not good with).{0,50}",
    ),
}
PATTERNS = {intent: re.compile(rf"(?:{'|'.join(words)}){_END}") for intent, words in _WORDS.items()}
