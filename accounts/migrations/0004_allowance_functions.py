from django.db import migrations


class Migration(migrations.Migration):
    """Counting against allowances, where many calls meet (accounts/limits/allowances.py).

    Functions, because other apps take allowances within their own statements, whose
    tables these are not.
    """

    dependencies = [("accounts", "0003_allowances")]
    operations = [
        migrations.RunSQL(
            """
            CREATE FUNCTION take_allowance(holder uuid, amounts numeric[]) RETURNS text[]
            LANGUAGE plpgsql AS $$
            DECLARE
                held allowances%ROWTYPE;
                this_minute timestamptz;
                amount numeric;
                refusals text[] := '{}';
                refusal text;
            BEGIN
                SELECT * INTO held FROM allowances WHERE id = holder FOR UPDATE;
                IF NOT FOUND THEN
                    RETURN array_fill('gone'::text, ARRAY[cardinality(amounts)]);
                END IF;
                -- After the lock: minutes begin for all at the same moment, and never again.
                this_minute := greatest(date_trunc('minute', clock_timestamp()), held.minute);
                IF held.minute IS DISTINCT FROM this_minute THEN
                    held.minute := this_minute;
                    held.minute_requests := 0;
                END IF;
                FOREACH amount IN ARRAY amounts LOOP
                    refusal := CASE
                        WHEN held.requests >= held.max_requests THEN 'max_requests'
                        WHEN held.spent_usd + held.reserved_usd + amount > held.budget_usd
                            THEN 'budget'
                        WHEN held.minute_requests >= held.requests_per_minute
                            THEN 'requests_per_minute'
                        ELSE '' END;
                    IF refusal = '' THEN
                        held.requests := held.requests + 1;
                        held.minute_requests := held.minute_requests + 1;
                        held.reserved_usd := held.reserved_usd + amount;
                    END IF;
                    refusals := refusals || refusal;
                END LOOP;
                UPDATE allowances SET requests = held.requests, minute = held.minute,
                    minute_requests = held.minute_requests, reserved_usd = held.reserved_usd,
                    last_used_at = clock_timestamp()
                WHERE id = holder;
                RETURN refusals;
            END $$;

            CREATE FUNCTION settle_allowance(holder uuid, released numeric, spent numeric)
            RETURNS boolean LANGUAGE sql AS $$
                UPDATE allowances SET reserved_usd = greatest(reserved_usd - released, 0),
                    spent_usd = greatest(spent_usd + spent, 0)
                WHERE id = holder RETURNING true
            $$;
            """,
            """
            DROP FUNCTION take_allowance(uuid, numeric[]);
            DROP FUNCTION settle_allowance(uuid, numeric, numeric);
            """,
        )
    ]
