// What a daemon holds, kept up to date.
//
// Clients choose names: they become the text of nodes, and nothing else. The page is changed only where it differs, so
// that what a user reads, marks or types stays where it is.

import { showBlocking } from "./blocking.js";
import { showDaemon, showPast } from "./daemon.js";
import { showDeadlocks } from "./deadlocks.js";
import { look as filter, sortBy } from "./filter.js";
import { forget, remember } from "./history.js";
import { $, show, say } from "./nodes.js";
import { showFirstRows, showMoreRows, showResource } from "./resource.js";
import { showFirstCards, showIncubator, showMoreCards, showResources } from "./resources.js";

const PERIOD = 1000; // milliseconds from one look at the daemon to the next
const SHARE = 4; // a look that takes long is followed by a pause of so many times that
const PATIENCE = 15000; // milliseconds until a daemon that does not answer counts as unreachable

let latest = null;
let unreachableSince = null;

// The resource that the address of the page names, or null for all of them.
function named() {
  const [, name] = /^#resource=(.+)$/.exec(location.hash) ?? [];
  try {
    return name ? decodeURIComponent(name) : null;
  } catch {
    return null; // no text that this page has made
  }
}

function showAll() {
  const name = named();
  $("main").classList.toggle("one", name !== null);
  if (latest) {
    const { status } = latest;
    showDaemon(status);
    showDeadlocks(status);
    if (name !== null) {
      const resource = showResource(name, status.resources);
      showBlocking(resource ? [resource] : [], status.resources, latest.blocking);
      document.title = `${name} ${document.title}`;
    } else {
      showPast(latest, status);
      showBlocking(showResources(status.resources), status.resources, latest.blocking);
      showIncubator(status.incubator);
    }
  }
  const since = unreachableSince;
  $("main").classList.toggle("stale", since !== null);
  const shown = latest ? " What is shown is from before." : "";
  show($("trouble"), since && `The daemon is unreachable since ${since.toLocaleTimeString("en-GB")}.${shown}`);
  if (since) {
    say($("state"), "unreachable");
    $("state").className = "state bad";
  }
}

async function look() {
  const began = performance.now();
  try {
    const answer = await fetch("page.json", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    if (!answer.ok) throw new Error(answer.status);
    const found = await answer.json();
    if (latest && found.status.daemon.started !== latest.status.daemon.started) forget();
    latest = found;
    remember(latest.status);
    unreachableSince = null;
  } catch {
    unreachableSince ??= new Date(); // the next look may succeed
  }
  try {
    showAll();
  } finally {
    setTimeout(look, Math.max(PERIOD, SHARE * (performance.now() - began)));
  }
}

$("filter").addEventListener("input", () => {
  filter($("filter").value);
  showFirstCards();
  showFirstRows();
  showAll();
});
$("order").addEventListener("change", () => {
  sortBy($("order").value);
  showAll();
});
$("more").addEventListener("click", () => {
  showMoreCards();
  showAll();
});
$("more-rows").addEventListener("click", () => {
  showMoreRows();
  showAll();
});
addEventListener("hashchange", () => {
  showFirstRows();
  showAll();
  scrollTo(0, 0);
});
addEventListener("resize", showAll);
look();
