// Shows Swagger UI in place of the summary. It is a large program, so it is loaded when the reader does something, or after a while: until then the
// page is there at once, also on a slow device.
(function () {
  "use strict";
  const GESTURES = ["pointermove", "pointerdown", "keydown", "wheel", "touchstart", "scroll", "focusin"];
  const WAIT_MILLISECONDS = 5000;
  let isStarted = false;

  function add(name, attributes) {
    // Before our own style sheet, which changes some rules of Swagger UI's.
    const ownSheet = document.querySelector("link[rel=stylesheet][href='style.css']");
    document.head.insertBefore(Object.assign(document.createElement(name), attributes), ownSheet);
  }

  function load(name, attributes) {
    return new Promise((resolve, reject) => add(name, { ...attributes, onload: resolve, onerror: reject }));
  }

  function show() {
    document.getElementById("summary").hidden = true;
    document.getElementById("swagger-ui").hidden = false;
    window.ui = SwaggerUIBundle({
      // Everything is asked of the server the page came from, below the path at which it shows this page.
      url: new URL("../openapi.json", document.baseURI).pathname,
      dom_id: "#swagger-ui",
      deepLinking: true,
      docExpansion: "list",
      defaultModelsExpandDepth: 0,
      displayRequestDuration: true,
      showExtensions: false,
      validatorUrl: null,
      presets: [SwaggerUIBundle.presets.apis],
      layout: "BaseLayout"
    });
  }

  function start() {
    if (isStarted) return;
    isStarted = true;
    GESTURES.forEach(gesture => window.removeEventListener(gesture, start));
    // If a file cannot be loaded, the summary stays.
    Promise.all([
      load("link", { rel: "stylesheet", href: "swagger-ui.css" }),
      load("script", { src: "swagger-ui-bundle.js" })
    ]).then(show, () => { isStarted = false; });
  }

  GESTURES.forEach(gesture => window.addEventListener(gesture, start, { passive: true }));
  window.addEventListener("load", () => {
    add("link", { rel: "prefetch", href: "swagger-ui-bundle.js" });
    // A link to one operation wants that operation.
    if (location.hash.length > 1) start(); else setTimeout(start, WAIT_MILLISECONDS);
  });
})();
