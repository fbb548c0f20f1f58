/** The app's code in Node that docs/app.md shows. Each region is one task. tests/app/snippets.test.cjs runs them. */

const { FieldValue } = require("firebase-admin/firestore");
const { GoogleAuth } = require("google-auth-library");

// #region create-user
async function createUser(db, uid, name) {
  await db.doc(`users/${uid}`).create({ name, plan: "free", credits: 0, createdAt: FieldValue.serverTimestamp() });
}
// #endregion

// #region spend
function spend(db, uid, amount) {
  const user = db.doc(`users/${uid}`);
  return db.runTransaction(async (transaction) => {
    const left = (await transaction.get(user)).get("credits") - amount;
    if (left < 0) return false;
    transaction.update(user, { credits: left });
    return true;
  });
}
// #endregion

// #region spend-cheaply
async function spendCheaply(db, uid, amount) {
  const user = db.doc(`users/${uid}`);
  for (;;) {
    const found = await user.get();
    const left = found.get("credits") - amount;
    if (left < 0) return false;
    try {
      await user.update({ credits: left }, { lastUpdateTime: found.updateTime });
      return true;
    } catch (error) {
      if (error.code !== 9) throw error; // 9: somebody else wrote the document, so read it again
    }
  }
}
// #endregion

// #region sell
function sell(db, uid, orderId, amount) {
  const order = db.doc(`orders/${orderId}`);
  return db.runTransaction(async (transaction) => {
    if ((await transaction.get(order)).exists) return false; // this order was booked before
    transaction.create(order, { uid, credits: amount });
    const more = FieldValue.increment(amount);
    const sold = { credits: more, purchased: more, "creditRefresh.refreshRequested": true };
    transaction.update(db.doc(`users/${uid}`), sold);
    return true;
  });
}
// #endregion

// #region refund
function refund(db, orderId) {
  const order = db.doc(`orders/${orderId}`);
  return db.runTransaction(async (transaction) => {
    const found = await transaction.get(order);
    if (!found.exists || found.get("credits") === 0) return false; // there is nothing left to give back
    const less = FieldValue.increment(-found.get("credits"));
    transaction.update(order, { credits: 0 });
    const refunded = { credits: less, purchased: less, "creditRefresh.refreshRequested": true };
    transaction.update(db.doc(`users/${found.get("uid")}`), refunded);
    return true;
  });
}
// #endregion

// #region change-plan
async function changePlan(db, uid, plan) {
  await db.doc(`users/${uid}`).update({ plan, "creditRefresh.refreshRequested": true });
}
// #endregion

// #region cancel
function cancel(db, uid, allowance) {
  const user = db.doc(`users/${uid}`);
  return db.runTransaction(async (transaction) => {
    const { credits, purchased = 0 } = (await transaction.get(user)).data();
    const kept = Math.min(credits, allowance + purchased);
    transaction.update(user, { plan: "free", credits: kept, "creditRefresh.refreshRequested": true });
  });
}
// #endregion

// #region own-allowance
async function giveOwnAllowance(db, uid, plan, allowance, until) {
  const override = { plan, allowance, until };
  await db.doc(`users/${uid}`).update({ "creditRefresh.override": override, "creditRefresh.refreshRequested": true });
}
// #endregion

// #region bill-from
async function billFrom(db, uid, day) {
  await db.doc(`users/${uid}`).update({ "creditRefresh.anchor": day, "creditRefresh.refreshRequested": true });
}
// #endregion

// #region delete-user
function deleteUser(db, uid) {
  const user = db.doc(`users/${uid}`);
  return db.runTransaction(async (transaction) => {
    const found = Object.entries((await transaction.get(user)).data());
    const kept = found.filter(([name]) => ["credits", "purchased", "creditRefresh"].includes(name));
    transaction.set(db.doc(`deletedUsers/${uid}`), Object.fromEntries(kept));
    transaction.delete(user);
  });
}
// #endregion

// #region create-again
function createAgain(db, uid, fields) {
  const tombstone = db.doc(`deletedUsers/${uid}`);
  return db.runTransaction(async (transaction) => {
    const kept = (await transaction.get(tombstone)).data() ?? { credits: 0 };
    const creditRefresh = { ...kept.creditRefresh, refreshRequested: true };
    transaction.create(db.doc(`users/${uid}`), { ...fields, ...kept, creditRefresh });
    transaction.delete(tombstone);
  });
}
// #endregion

// #region refill-now
async function refillNow(url, uid) {
  const client = await new GoogleAuth().getIdTokenClient(url);
  const answer = await client.request({ url, method: "POST", data: { userIds: [uid] } });
  return answer.data;
}
// #endregion

// #region next-refresh
function nextRefresh(found) {
  return found.get("creditRefresh.nextAt")?.toDate(); // undefined before the first refresh
}
// #endregion

module.exports = {
  createUser,
  spend,
  spendCheaply,
  sell,
  refund,
  changePlan,
  cancel,
  giveOwnAllowance,
  billFrom,
  deleteUser,
  createAgain,
  refillNow,
  nextRefresh,
};
