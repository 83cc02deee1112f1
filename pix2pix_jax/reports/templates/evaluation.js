// Sorts the pairs by a metric. If scripts are turned off, the pairs stay sorted by name.
const pairs = document.querySelector(".pairs");
const order = document.querySelector("#order");
const byName = [...pairs.children];

// A metric that could not be measured is NaN. Such a pair comes last in both directions.
function sortKey(pair, metric, sign) {
  const value = Number(pair.dataset[metric]);
  return isNaN(value) ? Infinity : sign * value;
}

function compare(a, b) {
  // Not a - b: the difference of two infinite values is NaN.
  return a < b ? -1 : a > b ? 1 : 0;
}

order.addEventListener("change", () => {
  const [metric, sign] = order.value.split(" ");
  const key = pair => sortKey(pair, metric, Number(sign));
  pairs.append(...(metric ? [...byName].sort((a, b) => compare(key(a), key(b))) : byName));
});
