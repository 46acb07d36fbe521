-- Lists of keys: filtered, sorted and paged in the database, however many there are.
--
-- An organization's keys lie scattered over the table, as they were made in turn with everybody's: to visit ten thousand of
-- them is to visit ten thousand pages. So all that a list is searched, filtered and sorted by lies together here, newest
-- first. Scopes do not: a key may have more of them than an index entry can hold.
--
-- No index over the text of names: the usual one needs an extension that not every owner of a database may install, and
-- one organization's keys, read from here, are few enough to be looked at.
drop index api_keys_by_org;
create index api_keys_list on api_keys (org_id, id desc)
    include (name, hint, environment, tier, created_by, created_at, expires_at, disabled_at, revoked_at, overlap_ends_at, overlap_ended);
-- Who made keys of an organization, from one to the next.
create index api_keys_by_creator on api_keys (org_id, created_by);
-- When an organization's keys were last used. Not over the time itself: it changes with nearly every call, and an update
-- that changes no index is a cheaper one.
create index key_last_used_by_org on key_last_used (org_id);
