"""The model's app: it signs users up, spends, changes plans and zones. Each write is booked at once."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from dev.oracle import Number, Rules
from shared.core.errors import ConflictError
from shared.store.values import WritePb, get, get_time, nanoseconds, put, put_fields, put_nanoseconds
from tests.model.books import Account, Books
from tests.support.world import World


@dataclass(frozen=True)
class BalanceRead:
    """A balance that the app read, and the update time that guards the app's write."""

    credits: Number
    update_time_ns: int


@dataclass(frozen=True)
class Backup:
    """The users' documents at one moment, and their accounts."""

    documents: Mapping[str, Mapping[str, Any]]
    accounts: Mapping[str, Account]
    rules: Rules


class App:
    """The app writes over its own wire without faults."""

    def __init__(self, world: World, books: Books) -> None:
        self._world, self._books = world, books

    def sign_up(
        self,
        user_id: str,
        plan: str | None,
        credits_held: Number,
        created_at: datetime | None,
        zone: Any = None,
    ) -> None:
        """Create a user, perhaps under the id of a deleted one. Without `createdAt` the create time counts."""
        fields: dict[str, Any] = {"credits": credits_held, "name": user_id}
        if plan is not None:
            fields["plan"] = plan
        if created_at is not None:
            fields["createdAt"] = created_at
        if zone is not None:
            fields["zone"] = zone
        self._open(user_id, fields, created_at)

    def _open(self, user_id: str, fields: Mapping[str, Any], created_at: datetime | None) -> None:
        with self._books.lock:
            self._world.put(f"users/{user_id}", fields)
            signed_up = created_at or get_time(self._document(user_id).create_time)
            self._books.open[user_id] = Account(
                fields["credits"],
                fields.get("plan"),
                signed_up,
                self._books.next_moment(),
                self._books.clock(),
                fields.get("zone"),
            )

    def delete(self, user_id: str) -> None:
        with self._books.lock:
            self._world.delete(f"users/{user_id}")
            self._books.close(user_id)

    def read_balance(self, user_id: str) -> BalanceRead:
        document = self._document(user_id)
        return BalanceRead(get(document.fields["credits"]), nanoseconds(document.update_time))

    def change_balance(self, user_id: str, amount: Number, read: BalanceRead, *, increment: bool) -> bool:
        """Write a new balance or an increment. False if the document has changed since the balance was read."""
        message = self._message(user_id)
        if increment:
            message.update_mask.SetInParent()
            transform = message.update_transforms.add()
            transform.field_path = "credits"
            put(transform.increment, amount)
        else:
            put(message.update.fields["credits"], read.credits + amount)
            message.update_mask.field_paths.append("credits")
        put_nanoseconds(message.current_document.update_time, read.update_time_ns)
        with self._books.lock:
            try:
                self._world.admin.commit([message])
            except ConflictError:
                return False
            account = self._books.open[user_id]
            assert account.credits == read.credits, f"{user_id}: credits changed and the update time did not"
            self._move(account, account.credits + amount)
            return True

    def _move(self, account: Account, credits_held: Number) -> None:
        account.moved += credits_held - account.credits
        account.credits = credits_held
        account.moved_at = self._books.next_moment()

    def spend(self, user_id: str, amount: Number, *, increment: bool) -> None:
        """Take credits. Nobody spends from a balance that is no number."""
        with self._books.lock:
            if not self._books.open[user_id].is_broken:
                assert self.change_balance(user_id, -amount, self.read_balance(user_id), increment=increment)

    def change_plan(self, user_id: str, plan: str, due_on: date | None) -> None:
        """Change the plan. With `due_on` `due` scans find the user from that day on."""
        stamp = {} if due_on is None else {"creditRefresh": {"dueOn": due_on.isoformat()}}
        mask = ["plan"] if due_on is None else ["plan", "creditRefresh.dueOn"]
        with self._books.lock:
            self._update(user_id, {"plan": plan, **stamp}, mask)
            is_named = self._books.open[user_id].is_named  # then `dueOn` has come already
            account = self._touch(user_id)
            account.plan = plan
            account.changed_silently = due_on is None and not is_named
            account.moved_silently = account.moved_silently and due_on is None
            account.due_on = account.due_on if due_on is None else due_on.isoformat()

    def hop(self, user_id: str, zone: Any, due_on: date | None, *, asks: bool) -> None:
        """Change the zone. With `due_on` `due` scans find the user from that day on. `asks`: request a refresh, too."""
        due = {} if due_on is None else {"dueOn": due_on.isoformat()}
        stamp = {**due, **({"refreshRequested": True} if asks else {})}
        mask = ["zone", *(f"creditRefresh.{name}" for name in stamp)]
        fields = {} if zone is None else {"zone": zone}
        with self._books.lock:
            self._update(user_id, {**fields, **({"creditRefresh": stamp} if stamp else {})}, mask)
            account = self._touch(user_id)
            account.move_to(zone)
            account.moved_silently = due_on is None
            account.due_on = account.due_on if due_on is None else due_on.isoformat()

    def overwrite(self, user_id: str, credits_held: Number) -> None:
        """Write the whole document without merging. The stamp is gone."""
        with self._books.lock:
            before = self._books.open[user_id]
            fields: dict[str, Any] = {"credits": credits_held, "name": user_id}
            if before.plan is not None:
                fields["plan"] = before.plan
            if before.zone is not None:
                fields["zone"] = before.zone
            self._books.close(user_id)
            self._open(user_id, fields, None)

    def write_due_on(self, user_id: str, due_on: Any) -> None:
        """Write something into `dueOn` that is no date, or a date that no plan could have."""
        with self._books.lock:
            self._update(user_id, {"creditRefresh": {"dueOn": due_on}}, ["creditRefresh.dueOn"])
            self._touch(user_id).due_on = due_on

    def break_balance(self, user_id: str, value: Any) -> None:
        """Write something that is no finite number in place of the balance."""
        with self._books.lock:
            self._update(user_id, {"credits": value}, ["credits"])
            self._touch(user_id).odd_fields["credits"] = value

    def break_stamp(self, user_id: str, text: str) -> None:
        """Write a text in place of the stamp."""
        with self._books.lock:
            self.overwrite(user_id, self._books.open[user_id].credits)
            self._update(user_id, {"creditRefresh": text}, ["creditRefresh"])
            self._touch(user_id).odd_fields["creditRefresh"] = text

    def correct(self, user_id: str, credits_held: Number) -> None:
        """Put a broken user in order: write a number as the balance, or remove the text in place of the stamp."""
        with self._books.lock:
            account = self._touch(user_id)
            if "creditRefresh" in account.odd_fields:
                self._update(user_id, {}, ["creditRefresh"])
            if "credits" in account.odd_fields:
                self._update(user_id, {"credits": credits_held}, ["credits"])
                del account.odd_fields["credits"]
                self._move(account, credits_held)

    def back_up(self) -> Backup:
        """Copy all documents and their accounts."""
        with self._books.lock:
            accounts = {user_id: copy.deepcopy(account) for user_id, account in self._books.open.items()}
            return Backup(self._world.all("users"), accounts, self._books.rules)

    def restore(self, backup: Backup) -> None:
        """Put the documents of a backup back. Users created since are deleted, and grants made since are undone.

        If the plans have changed since, its `dueOn`s are of other plans, and no scan by date can know that.
        """
        with self._books.lock:
            for user_id in list(self._books.open):
                self.delete(user_id)
            for user_id, fields in backup.documents.items():
                self._world.put(f"users/{user_id}", fields)
                account = copy.deepcopy(backup.accounts[user_id])
                account.touched = self._books.next_moment()
                account.restored = True
                account.changed_silently |= backup.rules != self._books.rules
                if fields.get("createdAt") is None and account.anchor is None:
                    account.signed_up = get_time(self._document(user_id).create_time)
                self._books.open[user_id] = account

    def pause(self, user_id: str, *, paused: bool) -> None:
        with self._books.lock:
            self._update(user_id, {"creditRefresh": {"paused": paused}}, ["creditRefresh.paused"])
            self._touch(user_id).paused = paused

    def _touch(self, user_id: str) -> Account:
        """Note that the app changed the user at this moment."""
        account = self._books.open[user_id]
        account.touched = self._books.next_moment()
        account.is_named = False
        return account

    def _update(self, user_id: str, fields: dict[str, Any], mask: Sequence[str]) -> None:
        message = self._message(user_id)
        put_fields(message.update.fields, fields)
        message.update_mask.field_paths.extend(mask)
        message.current_document.exists = True
        self._world.admin.commit([message])
        if any(path.startswith("creditRefresh") for path in mask):  # a text that was there is gone
            self._books.open[user_id].odd_fields.pop("creditRefresh", None)

    def _message(self, user_id: str) -> Any:
        message = WritePb()
        message.update.name = self._name(user_id)
        return message

    def _document(self, user_id: str) -> Any:
        return self._world.admin.get(self._name(user_id))

    def _name(self, user_id: str) -> str:
        return f"{self._world.admin.documents}/users/{user_id}"
