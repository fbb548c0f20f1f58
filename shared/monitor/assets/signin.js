/**
 * Signing in with Firebase's own client: e-mail and password. It keeps and renews the token; no one else sees it.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const { byId } = await beside("dom.js");
const { useTokens } = await beside("api.js");

const MESSAGES = {
  "auth/invalid-credential": "E-mail or password is wrong.",
  "auth/invalid-email": "That is not an e-mail address.",
  "auth/missing-password": "The password is missing.",
  "auth/network-request-failed": "Firebase can't be reached; is this computer online?",
  "auth/too-many-requests": "Too many tries; wait some minutes.",
  "auth/user-disabled": "This account is disabled.",
  "auth/user-not-found": "E-mail or password is wrong.",
  "auth/wrong-password": "E-mail or password is wrong.",
};

const form = byId("signin");
const problem = byId("signin-problem");

let auth = null;
let client = null;

/**
 * Load Firebase's client, and tell from now on who is signed in.
 * @param {{apiKey: string, authDomain: string, projectId: string, authEmulatorHost: string|null}} config
 * @param {(uid: string|null) => void} changed
 */
export async function begin(config, changed) {
  if (!config.apiKey) throw new Error("no Firebase API key is set (CREDIT_REFRESH_FIREBASE_API_KEY)");
  const { initializeApp } = await beside("firebase-app.js");
  client = await beside("firebase-auth.js");
  const app = initializeApp({ apiKey: config.apiKey, authDomain: config.authDomain, projectId: config.projectId });
  auth = client.initializeAuth(app, { persistence: [client.indexedDBLocalPersistence] });
  if (config.authEmulatorHost)
    client.connectAuthEmulator(auth, `http://${config.authEmulatorHost}`, { disableWarnings: true });
  useTokens(async () => auth.currentUser?.getIdToken() ?? null);
  listen();
  client.onAuthStateChanged(auth, (user) => shown(user, changed));
}

function shown(user, changed) {
  byId("account").hidden = !user;
  byId("account-name").textContent = user ? nameOf(user) : "";
  changed(user ? user.uid : null);
}

function nameOf(user) {
  return user.email ?? user.uid;
}

function listen() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    signIn();
  });
  byId("reset").addEventListener("click", reset);
  byId("signout").addEventListener("click", () => client.signOut(auth));
}

/** Sign out, and say why to whoever has to sign in again. */
export async function signedOutBecause(reason) {
  await client.signOut(auth);
  problem.textContent = reason;
}

/** Take a fresh token with the claims of this moment, rather than the one of up to an hour ago. */
export async function renew() {
  await auth.currentUser?.getIdToken(true);
}

/** Who is signed in, in words. */
export function who() {
  return auth?.currentUser ? nameOf(auth.currentUser) : null;
}

async function signIn() {
  problem.textContent = "";
  await trying(() => client.signInWithEmailAndPassword(auth, byId("email").value.trim(), byId("password").value));
  byId("password").value = "";
}

async function reset() {
  const email = byId("email").value.trim();
  const sent = await trying(() => client.sendPasswordResetEmail(auth, email));
  if (sent) problem.textContent = `If ${email} has an account, a mail with a link to set a password is on its way.`;
}

async function trying(call) {
  form.toggleAttribute("aria-busy", true);
  try {
    await call();
    return true;
  } catch (error) {
    problem.textContent = MESSAGES[error.code] ?? `Signing in did not work (${error.code ?? error.message}).`;
    return false;
  } finally {
    form.toggleAttribute("aria-busy", false);
  }
}
