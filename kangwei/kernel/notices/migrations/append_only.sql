-- Ledgers of notices are written once: a mistake is corrected by a new row.
CREATE FUNCTION notices_written_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is a ledger: its rows are neither changed nor deleted', TG_TABLE_NAME;
END $$;
CREATE TRIGGER notices_attempt_written_once BEFORE UPDATE OR DELETE ON notices_attempt
    FOR EACH ROW EXECUTE FUNCTION notices_written_once();
CREATE TRIGGER notices_event_written_once BEFORE UPDATE OR DELETE ON notices_escalationevent
    FOR EACH ROW EXECUTE FUNCTION notices_written_once();
CREATE TRIGGER notices_notice_written_once BEFORE UPDATE OR DELETE ON notices_notice
    FOR EACH ROW EXECUTE FUNCTION notices_written_once();
