-- What operators see on their command line: the last refusals, as support staff see them in the console.

alter policy support on refusals using (current_reach() in ('support', 'operator'));
alter policy support on refusals rename to reach;
