"""Postgres, the truth: tables, transactions and repositories. Nothing outside imports sqlalchemy or psycopg."""
