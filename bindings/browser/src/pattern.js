// Which channels a pattern stands for: a name, `/a/*` (one segment more), `/a/**` (one more, or several).

export function matches(pattern, channel) {
  const [, base, star] = /^(.*\/)(\*\*?)$/.exec(pattern) ?? [];
  if (!star) return pattern === channel;
  const rest = channel.startsWith(base) ? channel.slice(base.length) : "";
  return rest !== "" && (star === "**" || !rest.includes("/"));
}
