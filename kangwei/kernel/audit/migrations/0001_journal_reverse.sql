DROP TABLE audit_seal, audit_anchor, audit_book, audit_link, audit_entry CASCADE;
DROP FUNCTION audit_ensure_partitions, audit_ensure_month, audit_hide, audit_current_act, audit_refuse;
DROP FUNCTION audit_note_changes, audit_note_truncate CASCADE;
