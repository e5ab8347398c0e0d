-- Ledgers of notices are written once: a mistake is corrected by a new row. Only what is older
-- than the shortest permitted age may be put away.
CREATE OR REPLACE FUNCTION notices_written_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.recorded_at < clock_timestamp() - interval '180 days' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '% is a ledger: its rows are neither changed nor deleted', TG_TABLE_NAME;
END $$;
CREATE OR REPLACE TRIGGER notices_attempt_written_once BEFORE UPDATE OR DELETE ON notices_attempt
    FOR EACH ROW EXECUTE FUNCTION notices_written_once();
CREATE OR REPLACE TRIGGER notices_event_written_once BEFORE UPDATE OR DELETE ON notices_escalationevent
    FOR EACH ROW EXECUTE FUNCTION notices_written_once();
CREATE OR REPLACE TRIGGER notices_notice_written_once BEFORE UPDATE OR DELETE ON notices_notice
    FOR EACH ROW EXECUTE FUNCTION notices_written_once();
