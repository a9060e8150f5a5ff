"""Every error we raise on purpose, named by what the caller must do.

TingsuError
├── SettingsWrong            show all problems, do not start
├── Unsafe                   show what is refused and what to do, do not start
├── Forged                   refuse with 403, store nothing, log no body
├── Malformed                platform posts: 200 and recorded; our own APIs: 400 with the reason
├── TooLarge                 413
├── SendFailed(permanent)    permanent: give up this message; else try again later
├── SendUncertain            never resend by itself: it may have arrived
├── Throttled(retry_after)   try again after so many seconds
├── DownloadFailed(permanent)
├── ScannerDown              the file was not looked at: keep it back and try again
├── DialogueDown             Rasa cannot be reached or hangs: wait, the turn is not to blame
├── TurnFailed               Rasa answered, but not with a result: count it against the turn
├── DeskDown                 the desk cannot be reached: try again later
├── DeskUncertain            the desk may have done it: search by reference before anything else
├── DeskRefused              the desk says no, for good: a person must look
├── LeaseLost                another worker has taken over: drop everything
├── NobodyFound              no such person, or not one alone: say who is meant
├── HeldByComplaint          keep it: the law wants an open complaint's records
├── NotYours(owner)          the conversation's state has moved: 409 that names the owner
└── Newer                    the customer has written meanwhile: 409, look again
"""


class TingsuError(Exception):
    """Parent of all errors raised on purpose."""


class SettingsWrong(TingsuError):
    """The environment cannot be used; `problems` lists everything that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Unsafe(TingsuError):
    """What we stand on could lose what we acknowledge, or shows it to strangers; the message says what to do."""


class Forged(TingsuError):
    """The request does not prove that it comes from the platform."""


class Malformed(TingsuError):
    """Proven to come from the platform or a session of ours, but not readable; the message says why."""


class TooLarge(Malformed):
    """More than the entry point takes."""


class SendFailed(TingsuError):
    """The platform did not take the message. `permanent`: it never will (blocked, gone, refused)."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


class SendUncertain(TingsuError):
    """The call left us and no answer came: it may have arrived."""


class Throttled(TingsuError):
    """The platform asks for a pause of `retry_after` seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"asked to wait {retry_after:g} s")
        self.retry_after = retry_after


class DownloadFailed(TingsuError):
    """An attachment could not be fetched. `permanent`: it never will be."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


class ScannerDown(TingsuError):
    """The virus scanner cannot be reached, or gives no verdict."""


class DialogueDown(TingsuError):
    """Rasa cannot be reached, or does not answer in time."""


class TurnFailed(TingsuError):
    """Rasa answered, but this turn has no usable result."""


class DeskDown(TingsuError):
    """The ticket desk cannot be reached, and has certainly done nothing."""


class DeskUncertain(TingsuError):
    """The ticket desk may or may not have done what was asked."""


class DeskRefused(TingsuError):
    """The ticket desk refuses this for good."""


class LeaseLost(TingsuError):
    """The lease on a conversation ran out and someone else has it."""


class NobodyFound(TingsuError):
    """No person, or more than one, is known by what was given; the message says which."""


class HeldByComplaint(TingsuError):
    """Nothing is erased while a complaint is open; `references` are the open ones."""

    def __init__(self, references: list[str]) -> None:
        super().__init__(f"Open complaints must be closed or withdrawn first: {', '.join(references)}.")
        self.references = references


class NotYours(TingsuError):
    """The conversation has moved since it was read. `owner` says who answers now."""

    def __init__(self, owner: str) -> None:
        super().__init__(f"the conversation is with {owner}")
        self.owner = owner


class Newer(TingsuError):
    """The customer has written something that the page did not show."""
