"""The app's code in Python that docs/app.md shows. Each region is one task. tests/app/test_snippets.py runs them."""

from __future__ import annotations

from datetime import date
from typing import Any

import google.auth.transport.requests
import requests
from google.api_core.exceptions import FailedPrecondition
from google.cloud import firestore
from google.oauth2 import id_token


# #region create-user
def create_user(db: firestore.Client, uid: str, name: str) -> None:
    db.collection("users").document(uid).create(
        {"name": name, "plan": "free", "credits": 0, "createdAt": firestore.SERVER_TIMESTAMP}
    )


# #endregion


# #region spend
@firestore.transactional
def spend(transaction: firestore.Transaction, user: firestore.DocumentReference, amount: int) -> bool:
    left = user.get(transaction=transaction).get("credits") - amount
    if left < 0:
        return False
    transaction.update(user, {"credits": left})
    return True


# #endregion


# #region spend-cheaply
def spend_cheaply(db: firestore.Client, user: firestore.DocumentReference, amount: int) -> bool:
    while True:
        found = user.get()
        left = found.get("credits") - amount
        if left < 0:
            return False
        try:
            user.update({"credits": left}, option=db.write_option(last_update_time=found.update_time))
        except FailedPrecondition:
            continue  # somebody else wrote the document: read it again
        return True


# #endregion


# #region sell
@firestore.transactional
def sell(transaction: firestore.Transaction, db: firestore.Client, uid: str, order_id: str, amount: int) -> bool:
    user, order = db.collection("users").document(uid), db.collection("orders").document(order_id)
    if order.get(transaction=transaction).exists:
        return False  # this order was booked before
    transaction.create(order, {"uid": uid, "credits": amount})
    more = firestore.Increment(amount)
    transaction.update(user, {"credits": more, "purchased": more, "creditRefresh.refreshRequested": True})
    return True


# #endregion


# #region refund
@firestore.transactional
def refund(transaction: firestore.Transaction, db: firestore.Client, order_id: str) -> bool:
    order = db.collection("orders").document(order_id)
    found = order.get(transaction=transaction)
    if not found.exists or found.get("credits") == 0:
        return False  # there is nothing left to give back
    less = firestore.Increment(-found.get("credits"))
    user = db.collection("users").document(found.get("uid"))
    transaction.update(order, {"credits": 0})
    transaction.update(user, {"credits": less, "purchased": less, "creditRefresh.refreshRequested": True})
    return True


# #endregion


# #region change-plan
def change_plan(user: firestore.DocumentReference, plan: str) -> None:
    user.update({"plan": plan, "creditRefresh.refreshRequested": True})


# #endregion


# #region cancel
@firestore.transactional
def cancel(transaction: firestore.Transaction, user: firestore.DocumentReference, allowance: int) -> None:
    found = user.get(transaction=transaction).to_dict()
    kept = min(found["credits"], allowance + found.get("purchased", 0))
    transaction.update(user, {"plan": "free", "credits": kept, "creditRefresh.refreshRequested": True})


# #endregion


# #region own-allowance
def give_own_allowance(user: firestore.DocumentReference, plan: str, allowance: int, until: date) -> None:
    override = {"plan": plan, "allowance": allowance, "until": until.isoformat()}
    user.update({"creditRefresh.override": override, "creditRefresh.refreshRequested": True})


# #endregion


# #region bill-from
def bill_from(user: firestore.DocumentReference, day: date) -> None:
    user.update({"creditRefresh.anchor": day.isoformat(), "creditRefresh.refreshRequested": True})


# #endregion


# #region delete-user
@firestore.transactional
def delete_user(transaction: firestore.Transaction, db: firestore.Client, uid: str) -> None:
    user, tombstone = db.collection("users").document(uid), db.collection("deletedUsers").document(uid)
    found, kept = user.get(transaction=transaction).to_dict(), ("credits", "purchased", "creditRefresh")
    transaction.set(tombstone, {name: found[name] for name in kept if name in found})
    transaction.delete(user)


# #endregion


# #region create-again
@firestore.transactional
def create_again(transaction: firestore.Transaction, db: firestore.Client, uid: str, fields: dict[str, Any]) -> None:
    tombstone = db.collection("deletedUsers").document(uid)
    kept = tombstone.get(transaction=transaction).to_dict() or {"credits": 0}
    stamp = {**kept.get("creditRefresh", {}), "refreshRequested": True}
    transaction.create(db.collection("users").document(uid), {**fields, **kept, "creditRefresh": stamp})
    transaction.delete(tombstone)


# #endregion


# #region refill-now
def refill_now(url: str, uid: str) -> dict[str, Any]:
    token = id_token.fetch_id_token(google.auth.transport.requests.Request(), url)
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.post(url, json={"userIds": [uid]}, headers=headers, timeout=60)
    answer.raise_for_status()
    return dict(answer.json())


# #endregion


# #region next-refresh
def next_refresh(found: firestore.DocumentSnapshot) -> Any:
    stamp = found.to_dict().get("creditRefresh", {})
    return stamp.get("nextAt")  # a time in UTC; None before the first refresh


# #endregion
