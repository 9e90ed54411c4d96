"""Alembic's entry: runs the versions on the connection it is given. Imports no tables: history must not change."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, render_as_batch=True, transaction_per_migration=False)
context.run_migrations()
