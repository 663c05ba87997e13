"""Alembic's environment: the tables of `app.models`, and the connection it is handed."""

from alembic import context

from app.models import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,
    compare_type=True,
)
context.run_migrations()
