from django.db import migrations


class Migration(migrations.Migration):
    """Counting requests and logs, where many workers meet (accounts/limits/request_limits.py).

    Functions, because other apps count within their own statements, whose tables these
    are not.
    """

    dependencies = [("accounts", "0020_tiers")]
    operations = [
        migrations.RunSQL(
            """
            -- The one clock of all windows; tests replace it.
            CREATE FUNCTION limit_clock() RETURNS timestamptz LANGUAGE sql AS
                'SELECT clock_timestamp()';

            -- Grants the requests that wait and, ahead of others, a `share`th of the limit;
            -- first takes back what a lease of `returned_minute` has left. A bucket without
            -- an address's limit is a project; without any limit, `per_minute` is NULL.
            CREATE FUNCTION take_requests(
                bucket uuid, address_limit integer, waiting integer, share integer,
                returned integer, returned_minute timestamptz,
                OUT granted integer, OUT per_minute integer, OUT rest integer,
                OUT this_minute timestamptz, OUT milliseconds integer
            ) LANGUAGE plpgsql AS $$
            DECLARE
                held request_windows%ROWTYPE;
                now_ timestamptz;
                used integer;
            BEGIN
                per_minute := address_limit;
                IF per_minute IS NULL THEN
                    SELECT t.requests_per_minute INTO per_minute
                    FROM projects p JOIN tiers t ON t.id = p.tier_id WHERE p.id = bucket;
                    IF per_minute IS NULL THEN
                        granted := waiting;
                        RETURN;
                    END IF;
                END IF;
                LOOP
                    SELECT * INTO held FROM request_windows w WHERE w.holder = bucket FOR UPDATE;
                    EXIT WHEN FOUND;
                    INSERT INTO request_windows VALUES (bucket, '1970-01-01', 0)
                    ON CONFLICT DO NOTHING;
                END LOOP;
                -- After the lock: minutes begin for all at the same moment, and never again.
                now_ := limit_clock();
                this_minute := date_trunc('minute', now_);
                -- Unless the clock had been wrong: nobody waits for hours or weeks.
                IF held.minute <= now_ + interval '1 hour' THEN
                    this_minute := greatest(this_minute, held.minute);
                END IF;
                used := CASE WHEN held.minute = this_minute THEN held.granted ELSE 0 END;
                IF returned_minute = this_minute THEN
                    used := greatest(used - returned, 0);
                END IF;
                rest := greatest(per_minute - used, 0);
                granted := least(rest, greatest(waiting, per_minute / share));
                rest := rest - granted;
                milliseconds := floor(1000 * extract(
                    epoch FROM this_minute + interval '1 minute' - now_));
                IF (held.minute, held.granted) IS DISTINCT FROM (this_minute, used + granted) THEN
                    UPDATE request_windows w SET minute = this_minute,
                        granted = used + take_requests.granted
                    WHERE w.holder = bucket;
                END IF;
            END $$;

            -- Counts new logs of a month, also those beyond the quota that may not be refused;
            -- fails with LR429 when there is no room for the others.
            CREATE FUNCTION count_logs(
                owner uuid, of_month date, refusable bigint, others bigint
            ) RETURNS bigint LANGUAGE plpgsql AS $$
            DECLARE
                quota bigint;
                counted bigint;
            BEGIN
                SELECT t.logs_per_month INTO quota
                FROM projects p JOIN tiers t ON t.id = p.tier_id WHERE p.id = owner;
                IF NOT FOUND THEN
                    RETURN 0;
                END IF;
                INSERT INTO monthly_logs AS m (project_id, month, logs)
                VALUES (owner, of_month, refusable + others)
                ON CONFLICT (project_id, month) DO UPDATE SET logs = m.logs + excluded.logs
                RETURNING m.logs INTO counted;
                IF refusable > 0 AND counted > quota THEN
                    RAISE EXCEPTION 'log quota exceeded' USING ERRCODE = 'LR429';
                END IF;
                RETURN counted;
            END $$;
            """,
            """
            DROP FUNCTION count_logs(uuid, date, bigint, bigint);
            DROP FUNCTION take_requests(uuid, integer, integer, integer, integer, timestamptz);
            DROP FUNCTION limit_clock();
            """,
        ),
        migrations.RunSQL(
            """
            -- Changed limits reach every worker as revoked keys do.
            CREATE TRIGGER notify_key_changes AFTER UPDATE OR DELETE OR TRUNCATE ON tiers
                FOR EACH STATEMENT EXECUTE FUNCTION notify_key_changes();
            """,
            "DROP TRIGGER notify_key_changes ON tiers;",
        ),
    ]
