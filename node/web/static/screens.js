// The screens work without this file; it saves time at the table. It sends the check-in without drawing the page anew,
// keeps the field focused for the scanner, checks digits while they are typed, and shows what the server tells.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const parse = (html) => [...new DOMParser().parseFromString(html, "text/html").body.childNodes];
  const put = (id, html) => {
    const at = byId(id);
    if (at && at.dataset.html !== html) { // what is being used is not drawn anew
      const open = at.querySelector("details[open]");
      at.dataset.html = html;
      at.replaceChildren(...parse(html));
      if (open) at.querySelector("details")?.setAttribute("open", "");
    }
  };
  const signIn = () => { location.assign("/sign-in?to=" + encodeURIComponent(location.pathname)); };

  // A form is sent once: a second press while it is on its way does nothing.
  document.addEventListener("submit", (e) => {
    if (e.defaultPrevented || e.target.method === "get") return;
    if (e.target.dataset.sent) { e.preventDefault(); return; }
    e.target.dataset.sent = "yes";
  });
  addEventListener("pageshow", (e) => {
    if (e.persisted) location.reload(); // the back button: what the browser kept is old, and hears no events
    document.querySelectorAll("form").forEach((f) => delete f.dataset.sent);
  });

  // A sealed key that is chosen on this device goes with the form; it is opened by the passphrase typed beside it.
  document.querySelectorAll("input[type=file][data-into]").forEach((from) => from.addEventListener("change", async () => {
    const file = from.files[0];
    byId(from.dataset.into).value = "";
    if (!file) return;
    if (file.size > 8192) { from.value = ""; return; } // no key is so long
    byId(from.dataset.into).value = btoa(String.fromCharCode(...new Uint8Array(await file.arrayBuffer())));
    byId(from.dataset.choice).value = "0";
  }));

  const stream = () => {
    if (!byId("status")) return;
    const events = new EventSource("/events");
    events.addEventListener("news", (e) => {
      const n = JSON.parse(e.data);
      put("status", n.status);
      put("course", n.course);
      if (byId("check-in")) {
        put("rows", n.rows);
        put("card", n.card);
        byId("asking").textContent = n.asking;
      }
    });
    events.addEventListener("locked", signIn);
    events.addEventListener("error", async () => {
      if (events.readyState !== EventSource.CLOSED) return; // else it comes back by itself
      const ask = new AbortController(); // an EventSource does not tell why it was refused
      const status = await fetch("/events", { signal: ask.signal }).then((r) => r.status, () => 0);
      ask.abort();
      if (status === 401) { signIn(); return; }
      setTimeout(stream, 5000);
    });
    addEventListener("pagehide", () => events.close());
  };
  stream();

  const desk = byId("check-in");
  if (!desk) return;
  const number = byId("number"), hint = byId("hint"), firstHint = hint.textContent;

  // The rules of ledger/numbers.go; the server checks again.
  const digits = (text) => text.replace(/[\s./\-\u2010\u2011\u2013]/g, "");
  const complement = (n) => 97 - n % 97;
  const convocationHolds = (d) => {
    const n = Number(d.slice(0, 7)), check = Number(d.slice(7));
    return check === (desk.dataset.method === "complement" ? complement(n) : n % 97 || 97);
  };
  const nationalHolds = (d) => {
    const n = Number(d.slice(0, 9)), check = Number(d.slice(9));
    return check === complement(n) || check === complement(2e9 + n);
  };
  const say = (text, kind) => { hint.textContent = text; hint.className = "hint " + kind; };
  number.addEventListener("input", () => {
    const d = digits(number.value);
    if (!/^\d*$/.test(d)) return say(desk.dataset.bad, "bad");
    if (d.length === 9) {
      if (!convocationHolds(d)) return say(desk.dataset.bad, "bad");
      return d.slice(0, 2) === desk.dataset.commune.slice(-2) ? say(desk.dataset.good, "good") : say(desk.dataset.other, "bad");
    }
    if (d.length === 11) return nationalHolds(d) ? say(desk.dataset.good, "good") : say(desk.dataset.bad, "bad");
    if (d.length > 11) return say(desk.dataset.bad, "bad");
    say(firstHint, "");
  });

  // A scanner types wherever the focus is: digits that nobody else wants go to the field.
  document.addEventListener("keydown", (e) => {
    const at = document.activeElement;
    const typing = at && /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName);
    if (e.key === "Escape" && !byId("cancel").hidden) { byId("cancel").requestSubmit(); return; }
    if (!typing && !e.ctrlKey && !e.altKey && !e.metaKey && /^[0-9]$/.test(e.key)) number.focus();
  });
  document.addEventListener("focusout", () => setTimeout(() => {
    const at = document.activeElement; // a click on nothing goes to the page's frame
    if (!at || at === document.body || at.id === "main") number.focus();
  }, 0));

  let busy = "", lastSent = "", lastAt = 0;
  const send = async (form, key) => {
    if (busy) return; // a second press waits with the first
    busy = key;
    document.querySelectorAll("main > .notice").forEach((n) => n.remove()); // what was said before is over
    hint.className = "hint";
    hint.textContent = desk.dataset.working;
    const cancel = setTimeout(() => { byId("cancel").hidden = false; }, 300);
    try {
      const r = await fetch(form.action, {
        method: "POST", body: new URLSearchParams(new FormData(form)), headers: { "Pointage-Part": "answer" }, credentials: "same-origin", redirect: "error",
      });
      if (r.status === 401) { signIn(); return; }
      byId("answer").replaceChildren(...parse(await r.text())); // drawn anew even when it is the same
      say(firstHint, "");
    } catch {
      say(desk.dataset.unreachable, "bad");
      lastSent = "";
    } finally {
      clearTimeout(cancel);
      byId("cancel").hidden = true;
      byId("asking").textContent = "";
      busy = "";
    }
  };
  desk.addEventListener("submit", async (e) => {
    e.preventDefault();
    const key = digits(number.value), now = Date.now();
    if (!key || busy || (key === lastSent && now - lastAt < 1500)) { // the scanner read twice
      number.value = "";
      return;
    }
    lastSent = key;
    lastAt = now;
    const sent = send(desk, key);
    number.value = "";
    await sent;
    lastAt = Date.now();
    number.focus();
  });
  byId("cancel").addEventListener("submit", async (e) => {
    e.preventDefault();
    const form = e.target;
    await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), headers: { "Pointage-Part": "answer" }, credentials: "same-origin" });
  });
  document.addEventListener("submit", async (e) => { // the card's button and the president's own ways
    const form = e.target;
    if (form === desk || !form.action.endsWith("/check-in/do") || e.defaultPrevented) return;
    e.preventDefault();
    delete form.dataset.sent;
    await send(form, "other");
    number.focus();
  });
  number.focus();
})();
