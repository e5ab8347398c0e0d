-- What is frozen or sealed stays as it is, whoever writes: the application, a script, a hand.

CREATE FUNCTION reporting_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER reporting_refuse BEFORE UPDATE OR DELETE ON reporting_snapshot
    FOR EACH ROW EXECUTE FUNCTION reporting_refuse();
CREATE TRIGGER reporting_refuse BEFORE UPDATE OR DELETE ON reporting_snapshotchunk
    FOR EACH ROW EXECUTE FUNCTION reporting_refuse();
CREATE TRIGGER reporting_refuse BEFORE UPDATE OR DELETE ON reporting_reportuse
    FOR EACH ROW EXECUTE FUNCTION reporting_refuse();
CREATE TRIGGER reporting_refuse BEFORE UPDATE OR DELETE ON reporting_documentfile
    FOR EACH ROW EXECUTE FUNCTION reporting_refuse();

-- A version may change while it is a draft; a draft may be sealed or discarded, never come back.
CREATE TRIGGER reporting_refuse BEFORE UPDATE OR DELETE ON reporting_documentversion
    FOR EACH ROW WHEN (OLD.state <> 'draft') EXECUTE FUNCTION reporting_refuse();

-- A number once given out stays with its document, and a numbered document stays.
CREATE TRIGGER reporting_refuse_number BEFORE UPDATE ON reporting_document
    FOR EACH ROW WHEN (OLD.number IS NOT NULL AND (
        NEW.number IS DISTINCT FROM OLD.number OR NEW.serial IS DISTINCT FROM OLD.serial
        OR NEW.kind <> OLD.kind OR NEW.year <> OLD.year))
    EXECUTE FUNCTION reporting_refuse();
CREATE TRIGGER reporting_refuse_delete BEFORE DELETE ON reporting_document
    FOR EACH ROW WHEN (OLD.number IS NOT NULL) EXECUTE FUNCTION reporting_refuse();

-- Serial numbers of a kind and year only go up by one.
CREATE TRIGGER reporting_refuse BEFORE UPDATE ON reporting_documentseries
    FOR EACH ROW WHEN (NEW.last <> OLD.last + 1) EXECUTE FUNCTION reporting_refuse();
CREATE TRIGGER reporting_refuse_delete BEFORE DELETE ON reporting_documentseries
    FOR EACH ROW EXECUTE FUNCTION reporting_refuse();

-- The typed texts and files of a version follow its state.
CREATE FUNCTION reporting_refuse_closed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM reporting_documentversion
        WHERE id = COALESCE(NEW.version_id, OLD.version_id) AND state <> 'draft'
    ) THEN
        RAISE EXCEPTION 'the version of this text is closed: % refused', TG_OP
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN COALESCE(NEW, OLD);
END $$;

CREATE TRIGGER reporting_refuse_closed BEFORE INSERT OR UPDATE OR DELETE ON reporting_typedtext
    FOR EACH ROW EXECUTE FUNCTION reporting_refuse_closed();
