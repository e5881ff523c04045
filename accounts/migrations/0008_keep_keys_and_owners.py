from django.db import migrations


class Migration(migrations.Migration):
    """What holds whatever program changes the rows.

    A key's digest outlives the key, so that its text opens no project again; a project
    in use does not lose its last active owner. The project's row is locked before owners
    are counted: two who leave at once would each count the other.
    """

    dependencies = [("accounts", "0007_people")]
    operations = [
        migrations.RunSQL(
            """
            CREATE FUNCTION retire_keys() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO retired_keys (digest)
                SELECT digest FROM unnest(ARRAY[OLD.digest, OLD.previous_digest]) AS old(digest)
                WHERE digest IS NOT NULL AND (
                    TG_OP = 'DELETE' OR (
                        digest IS DISTINCT FROM NEW.digest
                        AND digest IS DISTINCT FROM NEW.previous_digest
                    )
                )
                ON CONFLICT DO NOTHING;
                RETURN NULL;
            END $$;
            CREATE TRIGGER retire_keys AFTER DELETE OR UPDATE OF digest, previous_digest ON api_keys
                FOR EACH ROW EXECUTE FUNCTION retire_keys();

            CREATE FUNCTION check_last_owner(project uuid, leaving uuid) RETURNS void
            LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM 1 FROM projects WHERE id = project AND archived_at IS NULL FOR UPDATE;
                IF FOUND AND NOT EXISTS (
                    SELECT 1 FROM memberships m JOIN users u ON u.id = m.user_id
                    WHERE m.project_id = project AND m.role = 'owner' AND u.is_active
                        AND m.user_id <> leaving
                ) THEN
                    RAISE EXCEPTION 'a project keeps an owner'
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'memberships_last_owner';
                END IF;
            END $$;

            CREATE FUNCTION keep_last_owner() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF TG_OP = 'UPDATE' AND NEW.role = 'owner' AND NEW.user_id = OLD.user_id
                    AND NEW.project_id = OLD.project_id THEN
                    RETURN NEW;
                END IF;
                IF EXISTS (SELECT 1 FROM users WHERE id = OLD.user_id AND is_active) THEN
                    PERFORM check_last_owner(OLD.project_id, OLD.user_id);
                END IF;
                RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
            END $$;
            CREATE TRIGGER keep_last_owner BEFORE UPDATE OR DELETE ON memberships
                FOR EACH ROW WHEN (OLD.role = 'owner') EXECUTE FUNCTION keep_last_owner();

            CREATE FUNCTION keep_active_owner() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM check_last_owner(project_id, OLD.id) FROM (
                    SELECT project_id FROM memberships
                    WHERE user_id = OLD.id AND role = 'owner' ORDER BY project_id
                ) owned;
                RETURN NEW;
            END $$;
            CREATE TRIGGER keep_active_owner BEFORE UPDATE OF is_active ON users
                FOR EACH ROW WHEN (OLD.is_active AND NOT NEW.is_active)
                EXECUTE FUNCTION keep_active_owner();
            """,
            """
            DROP TRIGGER keep_active_owner ON users;
            DROP TRIGGER keep_last_owner ON memberships;
            DROP TRIGGER retire_keys ON api_keys;
            DROP FUNCTION keep_active_owner();
            DROP FUNCTION keep_last_owner();
            DROP FUNCTION check_last_owner(uuid, uuid);
            DROP FUNCTION retire_keys();
            """,
        )
    ]
