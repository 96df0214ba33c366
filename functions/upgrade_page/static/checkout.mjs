// Stripe's Embedded Checkout in the app's own page. Loaded by embed.js when it is first needed, as
// Stripe's script is by this. The app's content security policy has to allow js.stripe.com.

/** Stripe's own address, or the local Stripe of a developer's machine. */
function isStripes({ protocol, hostname }) {
  if (hostname === "js.stripe.com") return protocol === "https:";
  return protocol === "http:" && ["localhost", "127.0.0.1"].includes(hostname);
}

let loading = null;

function load(address) {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.addEventListener("load", resolve);
    script.addEventListener("error", () => {
      loading = null;
      script.remove();
      reject(new Error(`Tollkeeper: ${address} did not load`));
    });
    document.head.append(script);
  });
  return loading;
}

/**
 * Show a payment. `onComplete` is called once it is made; answers what takes it away again.
 * @param {{script: string, key: string, secret: string}} checkout as the upgrade page has it
 * @param {Element} host where it goes
 */
export async function mount({ script, key, secret }, host, onComplete) {
  const address = new URL(script);
  if (!isStripes(address)) throw new Error("Tollkeeper: not an address of Stripe's");
  if (!globalThis.Stripe) await load(address.href);
  const place = host.appendChild(document.createElement("div"));
  let live = true;
  let checkout = null;
  const end = () => {
    if (live) checkout?.destroy();
    live = false;
    place.remove();
  };
  try {
    // The app may have loaded a Stripe.js of its own, older than the dahlia that renamed this.
    const stripe = globalThis.Stripe(key);
    const begin = stripe.createEmbeddedCheckoutPage ?? stripe.initEmbeddedCheckout;
    checkout = await begin.call(stripe, {
      fetchClientSecret: async () => secret,
      onComplete: () => {
        end();
        onComplete();
      },
    });
    checkout.mount(place);
  } catch (error) {
    end();
    throw error;
  }
  return end;
}
