from django.db import migrations


class Migration(migrations.Migration):
    """A shorter retention bites a week after it was set, whoever set it, and however.

    Days are compared with NULL (for ever) as the largest number of them.
    """

    dependencies = [("accounts", "0021_limit_functions")]
    operations = [
        migrations.RunSQL(
            """
            CREATE FUNCTION retention_in_days(days integer) RETURNS integer
            LANGUAGE sql IMMUTABLE AS 'SELECT coalesce(days, 2147483647)';

            -- Other programs may not have our schema on their search path.
            CREATE FUNCTION keep_former_retention() RETURNS trigger LANGUAGE plpgsql
            SET search_path FROM CURRENT AS $$
            DECLARE
                before integer := retention_in_days(
                    (SELECT retention_days FROM tiers WHERE id = OLD.tier_id));
                after integer := retention_in_days(
                    (SELECT retention_days FROM tiers WHERE id = NEW.tier_id));
            BEGIN
                -- A program that read the row before may write its old values back.
                IF OLD.former_retention_until > now() AND
                    NEW.former_retention_until IS DISTINCT FROM OLD.former_retention_until AND
                    coalesce(NEW.former_retention_until < OLD.former_retention_until, true)
                THEN
                    NEW.former_retention_days := OLD.former_retention_days;
                    NEW.former_retention_until := OLD.former_retention_until;
                END IF;
                IF after < before THEN
                    IF NEW.former_retention_until > now() THEN
                        before := greatest(before, retention_in_days(NEW.former_retention_days));
                    END IF;
                    NEW.former_retention_days := nullif(before, 2147483647);
                    NEW.former_retention_until := now() + interval '7 days';
                END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER keep_former_retention BEFORE UPDATE ON projects
                FOR EACH ROW WHEN ((OLD.tier_id, OLD.former_retention_until)
                    IS DISTINCT FROM (NEW.tier_id, NEW.former_retention_until))
                EXECUTE FUNCTION keep_former_retention();

            CREATE FUNCTION keep_former_retentions() RETURNS trigger LANGUAGE plpgsql
            SET search_path FROM CURRENT AS $$
            BEGIN
                UPDATE projects SET
                    former_retention_days = nullif(greatest(
                        retention_in_days(OLD.retention_days),
                        CASE WHEN former_retention_until > now()
                            THEN retention_in_days(former_retention_days) ELSE 0 END
                    ), 2147483647),
                    former_retention_until = now() + interval '7 days'
                WHERE tier_id = NEW.id;
                RETURN NULL;
            END $$;
            CREATE TRIGGER keep_former_retentions AFTER UPDATE OF retention_days ON tiers
                FOR EACH ROW WHEN (
                    retention_in_days(NEW.retention_days) < retention_in_days(OLD.retention_days))
                EXECUTE FUNCTION keep_former_retentions();
            """,
            """
            DROP TRIGGER keep_former_retentions ON tiers;
            DROP FUNCTION keep_former_retentions();
            DROP TRIGGER keep_former_retention ON projects;
            DROP FUNCTION keep_former_retention();
            DROP FUNCTION retention_in_days(integer);
            """,
        )
    ]
