DROP FUNCTION IF EXISTS reporting_refuse_closed() CASCADE;
DROP FUNCTION IF EXISTS reporting_refuse() CASCADE;
