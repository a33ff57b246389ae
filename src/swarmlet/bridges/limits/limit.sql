-- One limit that many processes share: policy/window.py and policy/meter.py over again, inside the server. Keep the three
-- alike (a test compares them). Unlogged: after a crash of the server the limits start anew, as after a quiet time.
CREATE UNLOGGED TABLE IF NOT EXISTS swarmlet_limit (
  name text PRIMARY KEY, share float8 NOT NULL DEFAULT 1, share_at float8 NOT NULL DEFAULT 0,
  pause float8 NOT NULL DEFAULT 0, shrunk float8 NOT NULL DEFAULT -1
) WITH (fillfactor = 50);
CREATE UNLOGGED TABLE IF NOT EXISTS swarmlet_gauge (
  name text, key text, amount float8, seconds float8, most float8, room float8, at float8, slot bigint, slots float8[],
  level float8, level_at float8, seen float8, spent float8, PRIMARY KEY (name, key)
) WITH (fillfactor = 50);
CREATE UNLOGGED TABLE IF NOT EXISTS swarmlet_lease (
  name text, lease text, expires float8, PRIMARY KEY (name, lease)
) WITH (fillfactor = 50);

CREATE OR REPLACE FUNCTION swarmlet_used(g swarmlet_gauge) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE total float8 := 0; part float8;
BEGIN
  FOREACH part IN ARRAY g.slots LOOP total := total + part; END LOOP;
  RETURN total;
END $$;

CREATE OR REPLACE FUNCTION swarmlet_most(g swarmlet_gauge, share float8) RETURNS float8 LANGUAGE sql AS $$
  SELECT greatest(least(1, g.amount), g.most * share)
$$;

CREATE OR REPLACE FUNCTION swarmlet_rate(g swarmlet_gauge, share float8) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE ease float8 := 1; low float8 := 0.1 * g.amount;
BEGIN
  IF g.level < low AND g.amount - g.level - swarmlet_used(g) >= low THEN ease := greatest(0.05, g.level / low); END IF;
  RETURN g.amount / g.seconds * 0.97 * share * ease;
END $$;

CREATE OR REPLACE FUNCTION swarmlet_roll(g swarmlet_gauge, now float8, share float8) RETURNS swarmlet_gauge
LANGUAGE plpgsql AS $$
DECLARE slot bigint := floor(now / (g.seconds / 64) + 1e-9)::bigint;
BEGIN
  IF now > g.at THEN
    g.room := least(swarmlet_most(g, share), g.room + swarmlet_rate(g, share) * (now - g.at));
    g.at := now;
  END IF;
  IF now > g.level_at THEN
    IF g.level IS NOT NULL THEN g.level := least(g.amount, g.level + g.amount / g.seconds * (now - g.level_at)); END IF;
    g.level_at := now;
  END IF;
  FOR back IN 0 .. least(66, slot - g.slot)::int - 1 LOOP g.slots[(slot - back) % 66 + 1] := 0; END LOOP;
  g.slot := greatest(g.slot, slot);
  RETURN g;
END $$;

CREATE OR REPLACE FUNCTION swarmlet_wait(g swarmlet_gauge, now float8, cost float8, share float8) RETURNS float8
LANGUAGE plpgsql AS $$
DECLARE
  wanted float8 := least(cost, g.amount);
  longest float8 := (least(wanted, swarmlet_most(g, share)) - g.room) / swarmlet_rate(g, share) + greatest(0, g.at - now);
  excess float8 := swarmlet_used(g) + wanted - g.amount - 1e-9;
BEGIN
  IF g.level IS NOT NULL THEN longest := greatest(longest, (wanted - g.level) / (g.amount / g.seconds)); END IF;
  FOR back IN REVERSE 65 .. 0 LOOP
    EXIT WHEN excess <= 0;
    excess := excess - g.slots[(g.slot - back) % 66 + 1];
    IF excess <= 0 OR back = 0 THEN
      longest := greatest(longest, (g.slot - back + 66) * (g.seconds / 64) - now);
    END IF;
  END LOOP;
  RETURN CASE WHEN longest > 1e-6 THEN longest ELSE 0 END;
END $$;

CREATE OR REPLACE FUNCTION swarmlet_gauge_of(named text, spec jsonb, now float8) RETURNS swarmlet_gauge
LANGUAGE plpgsql AS $$
DECLARE g swarmlet_gauge;
BEGIN
  SELECT * INTO g FROM swarmlet_gauge WHERE name = named AND key = spec->>'key';
  g.amount := (spec->>'amount')::float8;
  g.seconds := (spec->>'seconds')::float8;
  g.most := (spec->>'most')::float8;
  IF g.name IS NULL THEN
    g.name := named; g.key := spec->>'key'; g.room := g.most; g.at := now; g.slot := floor(now / (g.seconds / 64))::bigint;
    g.slots := array_fill(0::float8, ARRAY[66]); g.level_at := now; g.seen := -1; g.spent := 0;
    INSERT INTO swarmlet_gauge SELECT g.*;
  END IF;
  RETURN g;
END $$;

CREATE OR REPLACE FUNCTION swarmlet_keep(g swarmlet_gauge) RETURNS void LANGUAGE sql AS $$
  UPDATE swarmlet_gauge SET amount = g.amount, seconds = g.seconds, most = g.most, room = g.room, at = g.at, slot = g.slot,
    slots = g.slots, level = g.level, level_at = g.level_at, seen = g.seen, spent = g.spent
  WHERE name = g.name AND key = g.key
$$;

CREATE OR REPLACE FUNCTION swarmlet_take(state swarmlet_limit, words jsonb, now float8) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
  spec jsonb; g swarmlet_gauge; gauges swarmlet_gauge[] := '{}'; longest float8 := 0; cost float8; marks jsonb := '[]';
BEGIN
  DELETE FROM swarmlet_lease WHERE name = state.name AND expires <= now;
  IF (SELECT count(*) FROM swarmlet_lease WHERE name = state.name) >= (words->>'concurrency')::int THEN
    RETURN jsonb_build_object('wait', 0.05);
  END IF;
  IF now < state.pause THEN RETURN jsonb_build_object('wait', state.pause - now); END IF;
  FOR spec IN SELECT * FROM jsonb_array_elements(words->'specs') LOOP
    g := swarmlet_roll(swarmlet_gauge_of(state.name, spec, now), now, state.share);
    longest := greatest(longest, swarmlet_wait(g, now, (spec->>'cost')::float8, state.share));
    gauges := gauges || g;
  END LOOP;
  IF longest > 0 THEN
    FOREACH g IN ARRAY gauges LOOP PERFORM swarmlet_keep(g); END LOOP;
    RETURN jsonb_build_object('wait', longest);
  END IF;
  FOR index IN 1 .. coalesce(array_length(gauges, 1), 0) LOOP
    g := gauges[index];
    cost := (words->'specs'->(index - 1)->>'cost')::float8;
    g.room := g.room - cost;
    g.spent := g.spent + cost;
    g.level := CASE WHEN g.level IS NOT NULL THEN greatest(0, g.level - cost) END;
    g.slots[g.slot % 66 + 1] := g.slots[g.slot % 66 + 1] + cost;
    PERFORM swarmlet_keep(g);
    marks := marks || jsonb_build_array(jsonb_build_array(g.slot, g.spent));
  END LOOP;
  INSERT INTO swarmlet_lease VALUES (state.name, words->>'lease', now + (words->>'ttl')::float8);
  RETURN jsonb_build_object('at', now, 'marks', marks);
END $$;

CREATE OR REPLACE FUNCTION swarmlet_seen(state swarmlet_limit, words jsonb, now float8) RETURNS void LANGUAGE plpgsql AS $$
DECLARE one jsonb; g swarmlet_gauge; fresh boolean; gone float8; called float8 := (words->>'at')::float8;
BEGIN
  FOR one IN SELECT * FROM jsonb_array_elements(words->'seen') LOOP
    fresh := NOT EXISTS (SELECT 1 FROM swarmlet_gauge WHERE name = state.name AND key = one->>'key');
    g := swarmlet_roll(swarmlet_gauge_of(state.name, one, now), now, state.share);
    IF fresh THEN
      gone := greatest(0, g.amount - (one->>'remaining')::float8);
      FOR back IN 0 .. 63 LOOP
        g.slots[(g.slot - back) % 66 + 1] := g.slots[(g.slot - back) % 66 + 1] + gone / 64;
      END LOOP;
      g.slots[g.slot % 66 + 1] := g.slots[g.slot % 66 + 1] + (one->>'flying')::float8;
      g.room := least(g.room, (one->>'remaining')::float8 - (one->>'flying')::float8);
    END IF;
    IF called >= g.seen THEN
      g.seen := called;
      g.level_at := greatest(now, g.level_at);
      g.level := (one->>'remaining')::float8 + g.amount / g.seconds * greatest(0, now - called)
        - (g.spent - (one->>'spent')::float8);
      g.level := least(greatest(0, g.level), g.amount);
    END IF;
    PERFORM swarmlet_keep(g);
  END LOOP;
END $$;

CREATE OR REPLACE FUNCTION swarmlet_close(state swarmlet_limit, words jsonb, now float8) RETURNS swarmlet_limit
LANGUAGE plpgsql AS $$
DECLARE back jsonb; g swarmlet_gauge; charged bigint; amount float8;
BEGIN
  FOR back IN SELECT * FROM jsonb_array_elements(words->'back') LOOP
    SELECT * INTO g FROM swarmlet_gauge WHERE name = state.name AND key = back->>'key';
    CONTINUE WHEN NOT FOUND;
    charged := (back->>'slot')::bigint;
    amount := (back->>'amount')::float8;
    g.room := g.room + amount;
    IF charged > g.slot - 66 THEN
      g.slots[charged % 66 + 1] := greatest(0, g.slots[charged % 66 + 1] - amount);
    END IF;
    PERFORM swarmlet_keep(g);
  END LOOP;
  PERFORM swarmlet_seen(state, words, now);
  IF words->>'pause' IS NOT NULL THEN
    IF (words->>'at')::float8 > state.shrunk THEN
      state.share := greatest(0.05, state.share * 0.8);
      state.shrunk := now;
    END IF;
    state.pause := greatest(state.pause, now + (words->>'pause')::float8);
    state.share_at := greatest(state.share_at, state.pause);
    UPDATE swarmlet_gauge SET room = least(room, 0), at = greatest(at, state.pause)
      WHERE name = state.name AND seconds <= 600;
  END IF;
  RETURN state;
END $$;

CREATE OR REPLACE FUNCTION swarmlet_ask(named text, words jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE state swarmlet_limit; now float8; answer jsonb := '{}';
BEGIN
  SELECT * INTO state FROM swarmlet_limit WHERE name = named FOR UPDATE;
  IF NOT FOUND THEN
    INSERT INTO swarmlet_limit (name) VALUES (named) ON CONFLICT DO NOTHING;
    SELECT * INTO state FROM swarmlet_limit WHERE name = named FOR UPDATE;
  END IF;
  now := coalesce((words->>'now')::float8, extract(epoch FROM clock_timestamp())::float8);  -- the lock is held by now
  IF words->>'do' = 'close' THEN
    DELETE FROM swarmlet_lease WHERE name = named AND lease = words->>'lease';
    IF NOT FOUND THEN RETURN '{}'; END IF;
  END IF;
  IF now > state.share_at AND NOT (words->>'do' = 'take' AND now < state.pause) THEN
    state.share := least(1, state.share + 0.005 * (now - state.share_at));
    state.share_at := now;
  END IF;
  IF words->>'do' = 'take' THEN
    answer := swarmlet_take(state, words, now);
  ELSE
    state := swarmlet_close(state, words, now);
  END IF;
  UPDATE swarmlet_limit SET share = state.share, share_at = state.share_at, pause = state.pause, shrunk = state.shrunk
    WHERE name = named;
  RETURN answer;
END $$;
