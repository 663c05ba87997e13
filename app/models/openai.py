"""What OpenAI's door keeps beside a batch."""

from sqlmodel import Field

from app.models.base import Id, LongText, Table, Word


class OpenAIBatch(Table, table=True):
    """A batch that came through OpenAI's door, in the words of that door.

    Its files have their ids from the start, and are written once, under them, by finalize; a
    file that there is has a row of its own.
    """

    __tablename__ = "openai_batch"

    batch_id: str = Field(sa_type=Id, primary_key=True, foreign_key="batch.id")
    account_id: str = Field(sa_type=Id, index=True)
    endpoint: str = Field(sa_type=Word)
    completion_window: str = Field(sa_type=Word)
    model: str | None = Field(default=None, sa_type=LongText)  # where all lines name the same
    errors: str | None = Field(default=None, sa_type=LongText)  # of a refused input, as JSON
    output_file_id: str = Field(sa_type=Id)
    error_file_id: str = Field(sa_type=Id)
    output_kept_s: int | None = None
    # Of the files' lines, once they are written.
    completed: int | None = None
    failed: int | None = None
    usage: str | None = Field(default=None, sa_type=LongText)
