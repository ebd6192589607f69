-- No statement reads the audit log by who did it: the filter looks at each record on its way back through the log. Every push wrote a page
-- of this index.
DROP INDEX audit_by_who;
