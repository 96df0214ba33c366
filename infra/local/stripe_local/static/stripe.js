// What stands for Stripe.js here: Stripe(key).createEmbeddedCheckoutPage(...), with an iframe of the
// local Stripe's page. Source of the interface: https://docs.stripe.com/js/embedded_checkout
"use strict";
(() => {
  const ORIGIN = new URL(document.currentScript.src).origin;
  let mounted = false;

  function embeddedCheckout(clientSecret, onComplete) {
    const frame = document.createElement("iframe");
    let destroyed = false;
    frame.src = `${ORIGIN}/c/embed/${encodeURIComponent(clientSecret)}`;
    frame.title = "Checkout";
    frame.allow = "payment *";
    Object.assign(frame.style, { width: "100%", minHeight: "720px", border: "0", display: "block" });

    function hear(event) {
      if (event.origin !== ORIGIN || event.source !== frame.contentWindow) return;
      const told = event.data;
      if (told?.type === "height") frame.style.height = `${Number(told.height)}px`;
      if (told?.type !== "complete") return;
      if (told.returnUrl) location.assign(told.returnUrl);
      else onComplete?.();
    }

    function live() {
      if (destroyed) throw new Error("This Embedded Checkout was destroyed.");
    }

    return {
      mount(where) {
        live();
        const host = typeof where === "string" ? document.querySelector(where) : where;
        if (!host) throw new Error(`There is no element for ${where}.`);
        addEventListener("message", hear);
        host.replaceChildren(frame);
      },
      unmount() {
        live();
        removeEventListener("message", hear);
        frame.remove();
      },
      destroy() {
        if (destroyed) return;
        this.unmount();
        destroyed = true;
        mounted = false;
      },
    };
  }

  async function create({ clientSecret, fetchClientSecret, onComplete } = {}) {
    if (mounted) throw new Error("You cannot have multiple Embedded Checkout objects.");
    mounted = true;
    try {
      return embeddedCheckout(clientSecret ?? (await fetchClientSecret()), onComplete);
    } catch (error) {
      mounted = false;
      throw error;
    }
  }

  window.Stripe = (publishableKey) => {
    if (!/^pk_test_\w+$/.test(publishableKey)) throw new Error("Stripe() wants a pk_test_ key here.");
    return {
      createEmbeddedCheckoutPage: create,
      // The name until March 2026. Stripe.js refuses it, so that code of then is not carried over.
      initEmbeddedCheckout() {
        throw new Error("stripe.initEmbeddedCheckout() is now stripe.createEmbeddedCheckoutPage().");
      },
    };
  };
})();
