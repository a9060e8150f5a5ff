"""The moments at which a process may die. Nothing happens at them; the chaos tests hand in faults of their own."""

from enum import StrEnum


class Moment(StrEnum):
    """One before and one after each commit on a message's way, and around each call that leaves us."""

    ACCEPT_BEFORE_COMMIT = "accept before commit"
    ACCEPT_AFTER_COMMIT = "accept after commit"  # before the platform's 200, and before the bell
    FETCH_BEFORE_COMMIT = "fetch before commit"  # events of a polled channel and their cursor
    FETCH_AFTER_COMMIT = "fetch after commit"
    WORK_CLAIMED = "work claimed"  # the lease on a conversation's turns is committed
    DOWNLOADED = "downloaded"  # the file is here, its row does not say so
    TURN_FIXED = "turn fixed"  # before Rasa is asked
    ANSWERED = "answered"  # Rasa has answered, nothing is committed
    TURN_BEFORE_COMMIT = "turn before commit"
    TURN_AFTER_COMMIT = "turn after commit"  # the lease is still ours
    SENDING_CLAIMED = "sending claimed"
    SENDING = "sending"  # the row says `sending`, the call has not left
    SENT = "sent"  # the platform has it, the row still says `sending`
    SENT_AFTER_COMMIT = "sent after commit"
    CLAIM_AFTER_COMMIT = "claim after commit"  # the agent's epoch stands, sends in flight are not waited for yet
    TICKET_CLAIMED = "ticket claimed"
    TICKET_OPENED = "ticket opened"  # the desk has it, our row does not say so
    TICKET_AFTER_COMMIT = "ticket after commit"
    CHANGES_BEFORE_COMMIT = "changes before commit"  # what the desk changed, and the cursor
    CHANGES_AFTER_COMMIT = "changes after commit"


class Faults:
    """The product's own: none."""

    def at(self, moment: Moment) -> None:
        """Called at each moment, by whichever thread is there."""


NONE = Faults()
