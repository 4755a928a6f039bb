// Where a reader stands in a channel. An id is `epoch-offset`: offsets are 1, 2, 3 … within an epoch, so two ids of
// one epoch say what lies between them. A cursor is ids parted by dots, in the order of the channels asked for.

const epoch = (id) => id.slice(0, id.lastIndexOf("-"));
const offset = (id) => Number(id.slice(id.lastIndexOf("-") + 1));

export const sameEpoch = (one, other) => epoch(one) === epoch(other);

// The place right before the message `id`.
export const before = (id) => `${epoch(id)}-${offset(id) - 1}`;

// How the message `id`, before which so many were left out, lies to a reader at `place`: "seen", "next", or "far", with
// others between or of another epoch.
export function relation(place, id, conflated = 0) {
  const distance = sameEpoch(place, id) ? offset(id) - offset(place) : Infinity;
  return distance < 1 ? "seen" : distance <= 1 + conflated ? "next" : "far";
}

// The places of `channels` that a cursor names, as pairs; none if it was given out for others.
export function pairs(channels, cursor) {
  const places = cursor.split(".");
  return places.length === channels.length ? channels.map((channel, at) => [channel, places[at]]) : [];
}
