"""retrieve and prefetch.

Revision 0002, after 0001. Only adds: code that knows schema 1 lives with it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "retrieval",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("source_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("direct_to", sa.String(length=64), nullable=False),
        sa.Column("forward_to", sa.Text(), nullable=False),
        sa.Column("folder", sa.String(length=1024), nullable=False),
        sa.Column("origin", sa.String(length=128), nullable=False),
        sa.Column("requested_by", sa.String(length=64), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("due_at", sa.Float(precision=53), nullable=True),
        sa.Column("worker", sa.String(length=128), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.Float(precision=53), nullable=True),
        sa.Column("listing", sa.SmallInteger(), nullable=False),
        sa.Column("said", sa.Integer(), nullable=True),
        sa.Column("nearline", sa.Boolean(), nullable=False),
        sa.Column("rounds", sa.Integer(), nullable=False),
        sa.Column("fruitless", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("first_failed_at", sa.Float(precision=53), nullable=True),
        sa.Column("arrived_before", sa.Integer(), nullable=False),
        sa.Column("answered_at", sa.Float(precision=53), nullable=True),
        sa.Column("expected", sa.Integer(), nullable=False),
        sa.Column("arrived", sa.Integer(), nullable=False),
        sa.Column("last_arrival_at", sa.Float(precision=53), nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("words", sa.String(length=400), nullable=False),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.Column("settled_at", sa.Float(precision=53), nullable=True),
        sa.CheckConstraint("(state = 1) = (until IS NOT NULL)", name=op.f("ck_retrieval_lease")),
        sa.CheckConstraint("listing BETWEEN 0 AND 3", name=op.f("ck_retrieval_listing")),
        sa.CheckConstraint("priority BETWEEN 0 AND 3", name=op.f("ck_retrieval_priority")),
        sa.CheckConstraint("state <> 0 OR due_at IS NOT NULL", name=op.f("ck_retrieval_due")),
        sa.CheckConstraint("state BETWEEN 0 AND 6", name=op.f("ck_retrieval_state")),
        sa.ForeignKeyConstraint(["source_id"], ["destination.id"], name=op.f("fk_retrieval_source_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retrieval")),
    )
    op.create_index(
        "ix_retrieval_due",
        "retrieval",
        ["source_id", "priority", "due_at"],
        unique=False,
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_retrieval_open",
        "retrieval",
        ["study_instance_uid"],
        unique=False,
        sqlite_where=sa.text("state <= 2"),
        postgresql_where=sa.text("state <= 2"),
    )
    op.create_index(
        "ix_retrieval_running",
        "retrieval",
        ["source_id"],
        unique=False,
        sqlite_where=sa.text("state = 1"),
        postgresql_where=sa.text("state = 1"),
    )
    op.create_index("ix_retrieval_study", "retrieval", ["study_instance_uid"], unique=False)
    op.create_table(
        "retrieve_gate",
        sa.Column(
            "source_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("toward", sa.String(length=64), nullable=False),
        sa.Column("breaker", sa.String(length=9), nullable=False),
        sa.Column("faults", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.Float(precision=53), nullable=True),
        sa.Column("probe_at", sa.Float(precision=53), nullable=True),
        sa.Column("probes", sa.Integer(), nullable=False),
        sa.Column("hold_reason", sa.String(length=400), nullable=False),
        sa.Column("hold_since", sa.Float(precision=53), nullable=True),
        sa.Column("last_success_at", sa.Float(precision=53), nullable=True),
        sa.Column("last_error", sa.String(length=400), nullable=False),
        sa.Column("last_error_at", sa.Float(precision=53), nullable=True),
        sa.CheckConstraint("breaker IN ('closed', 'open', 'half_open')", name=op.f("ck_retrieve_gate_breaker")),
        sa.ForeignKeyConstraint(["source_id"], ["destination.id"], name=op.f("fk_retrieve_gate_source_id")),
        sa.PrimaryKeyConstraint("source_id", "toward", name=op.f("pk_retrieve_gate")),
    )
    op.create_table(
        "wanted",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("retrieval_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("named", sa.Boolean(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("instance_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("settled_at", sa.Float(precision=53), nullable=True),
        sa.CheckConstraint("state BETWEEN 0 AND 3", name=op.f("ck_wanted_state")),
        sa.ForeignKeyConstraint(["instance_id"], ["instance.id"], name=op.f("fk_wanted_instance_id")),
        sa.ForeignKeyConstraint(["retrieval_id"], ["retrieval.id"], name=op.f("fk_wanted_retrieval_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_wanted")),
        sa.UniqueConstraint("retrieval_id", "sop_instance_uid", name=op.f("uq_wanted_retrieval_id_sop_instance_uid")),
    )
    op.create_table(
        "commitment_item",
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("proof", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.Integer(), nullable=True),
        sa.CheckConstraint("proof BETWEEN 1 AND 4", name=op.f("ck_commitment_item_proof")),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_commitment_item_item_id")),
        sa.ForeignKeyConstraint(
            ["transaction_uid"], ["commitment.transaction_uid"], name=op.f("fk_commitment_item_transaction_uid")
        ),
        sa.PrimaryKeyConstraint("transaction_uid", "item_id", name=op.f("pk_commitment_item")),
    )
    op.create_index(
        "ix_commitment_awaited",
        "commitment",
        ["requested_at"],
        unique=False,
        sqlite_where=sa.text("state = 'requested'"),
        postgresql_where=sa.text("state = 'requested'"),
    )
    op.create_index("ix_commitment_item_item", "commitment_item", ["item_id"], unique=False)
    op.create_table(
        "schedule",
        sa.Column("rule", sa.String(length=128), nullable=False),
        sa.Column("plan", sa.String(length=200), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("look_at", sa.Double(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("done_at", sa.Double(), nullable=True),
        sa.Column("patients", sa.Integer(), nullable=False),
        sa.Column("retrievals", sa.Integer(), nullable=False),
        sa.Column("words", sa.String(length=400), nullable=False),
        sa.PrimaryKeyConstraint("rule", name=op.f("pk_schedule")),
    )
    op.create_table(
        "proof_wanted",
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("destination_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("how", sa.String(length=10), nullable=False),
        sa.Column("due_at", sa.Float(precision=53), nullable=False),
        sa.Column("looked", sa.SmallInteger(), nullable=False),
        sa.CheckConstraint("how IN ('commitment', 'find')", name=op.f("ck_proof_wanted_how")),
        sa.ForeignKeyConstraint(["destination_id"], ["destination.id"], name=op.f("fk_proof_wanted_destination_id")),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_proof_wanted_item_id")),
        sa.PrimaryKeyConstraint("item_id", name=op.f("pk_proof_wanted")),
    )
    op.create_index("ix_proof_wanted_due", "proof_wanted", ["destination_id", "how", "due_at", "item_id"], unique=False)
    op.create_table(
        "prover",
        sa.Column(
            "destination_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("trouble", sa.String(length=400), nullable=False),
        sa.Column("since", sa.Float(precision=53), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("look_at", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(["destination_id"], ["destination.id"], name=op.f("fk_prover_destination_id")),
        sa.PrimaryKeyConstraint("destination_id", name=op.f("pk_prover")),
    )
    op.add_column("destination", sa.Column("commitment", sa.String(length=13), server_default="none", nullable=False))
    op.add_column("destination", sa.Column("verify", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_index(
        "ix_item_unproven",
        "item",
        ["destination_id", "proof"],
        unique=False,
        sqlite_where=sa.text("proof IN (1, 3, 4)"),
        postgresql_where=sa.text("proof IN (1, 3, 4)"),
    )
    op.create_table(
        "appointment",
        sa.Column("origin", sa.String(length=140), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("patient_ids", sa.Text(), nullable=False),
        sa.Column("scheduled_at", sa.Double(), nullable=True),
        sa.Column("accession_number", sa.String(length=64), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("procedure_code", sa.String(length=64), nullable=False),
        sa.Column("description", sa.String(length=256), nullable=False),
        sa.Column("modality", sa.String(length=16), nullable=False),
        sa.Column("told_at", sa.Double(), nullable=False),
        sa.Column("cancelled_at", sa.Double(), nullable=True),
        sa.Column("noted_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("origin", "key", name=op.f("pk_appointment")),
    )
    op.create_index("ix_appointment_expected", "appointment", ["origin", "scheduled_at"], unique=False)
    op.create_table(
        "appointment_plan",
        sa.Column("origin", sa.String(length=140), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("rule", sa.String(length=128), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("look_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("origin", "key", "rule", name=op.f("pk_appointment_plan")),
    )
    op.create_table(
        "patient_alias",
        sa.Column("patient_id", sa.String(length=256), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("patient_id", name=op.f("pk_patient_alias")),
    )
    op.create_index(op.f("ix_patient_alias_person"), "patient_alias", ["person"], unique=False)
    op.create_table(
        "appointment_fetch",
        sa.Column("origin", sa.String(length=140), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column(
            "retrieval_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.ForeignKeyConstraint(["retrieval_id"], ["retrieval.id"], name=op.f("fk_appointment_fetch_retrieval_id")),
        sa.PrimaryKeyConstraint("origin", "key", "retrieval_id", name=op.f("pk_appointment_fetch")),
    )
    op.create_index("ix_appointment_fetch_retrieval", "appointment_fetch", ["retrieval_id"], unique=False)
    op.execute("UPDATE ledger_meta SET schema_version = 2, min_code = 1")


def downgrade() -> None:
    """Undo."""
    op.execute("UPDATE ledger_meta SET schema_version = 1, min_code = 1")
    op.drop_index("ix_appointment_fetch_retrieval", table_name="appointment_fetch")
    op.drop_table("appointment_fetch")
    op.drop_index(op.f("ix_patient_alias_person"), table_name="patient_alias")
    op.drop_table("patient_alias")
    op.drop_table("appointment_plan")
    op.drop_index("ix_appointment_expected", table_name="appointment")
    op.drop_table("appointment")
    op.drop_index(
        "ix_item_unproven",
        table_name="item",
        sqlite_where=sa.text("proof IN (1, 3, 4)"),
        postgresql_where=sa.text("proof IN (1, 3, 4)"),
    )
    op.drop_column("destination", "verify")
    op.drop_column("destination", "commitment")
    op.drop_table("prover")
    op.drop_index("ix_proof_wanted_due", table_name="proof_wanted")
    op.drop_table("proof_wanted")
    op.drop_table("schedule")
    op.drop_index(
        "ix_commitment_awaited",
        table_name="commitment",
        sqlite_where=sa.text("state = 'requested'"),
        postgresql_where=sa.text("state = 'requested'"),
    )
    op.drop_index("ix_commitment_item_item", table_name="commitment_item")
    op.drop_table("commitment_item")
    op.drop_table("wanted")
    op.drop_table("retrieve_gate")
    op.drop_index("ix_retrieval_study", table_name="retrieval")
    op.drop_index(
        "ix_retrieval_running",
        table_name="retrieval",
        sqlite_where=sa.text("state = 1"),
        postgresql_where=sa.text("state = 1"),
    )
    op.drop_index(
        "ix_retrieval_open",
        table_name="retrieval",
        sqlite_where=sa.text("state <= 2"),
        postgresql_where=sa.text("state <= 2"),
    )
    op.drop_index(
        "ix_retrieval_due",
        table_name="retrieval",
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.drop_table("retrieval")
