-- No statistics of what the planner never asks about. They cost more than all others together: those of the words
-- analyse the texts of up to 30,000 memories again, whenever a tenth of them is new.
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- The words that are looked for are not known to the planner, only to the statement: it has a fixed idea of how many match.
ALTER INDEX memories_by_terms_and_words ALTER COLUMN 2 SET STATISTICS 0;
ALTER TABLE memories ALTER COLUMN content SET STATISTICS 0;
ALTER TABLE memories ALTER COLUMN metadata SET STATISTICS 0;
ALTER TABLE versions ALTER COLUMN content SET STATISTICS 0;
ALTER TABLE versions ALTER COLUMN metadata SET STATISTICS 0;
ALTER TABLE embeddings ALTER COLUMN vector SET STATISTICS 0;
