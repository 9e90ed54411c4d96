"""contact/v3: people and departments; the app may see all of them."""

from __future__ import annotations

from agent.sandbox.feishu import shapes
from agent.sandbox.feishu.request import Answer, Req
from agent.sandbox.rules.refusal import FeishuError, invalid
from agent.sandbox.world.people import ROOT, Department, Person

BATCH_MAX = 50


def _department_id_type(req: Req) -> str:
    value = req.q("department_id_type", "open_department_id")
    if value not in ("department_id", "open_department_id"):
        raise invalid("department_id_type")
    return value


def _user(req: Req, person: Person) -> dict[str, object]:
    return shapes.user(req.world, person, req.id_type(), _department_id_type(req))


def get_user(req: Req) -> Answer:
    """GET contact/v3/users/:user_id. Resigned people are still shown, with their status."""
    person = req.world.directory.find(req.id_type(), req.params["user_id"])
    if person is None:
        raise FeishuError(41012)
    return {"user": _user(req, person)}


def batch_users(req: Req) -> Answer:
    """GET contact/v3/users/batch?user_ids=…&user_ids=…: ids that do not exist are left out."""
    ids = req.query.get("user_ids", [])
    if not ids or len(ids) > BATCH_MAX:
        raise invalid("user_ids")
    found = [req.world.directory.find(req.id_type(), value) for value in ids]
    return {"items": [_user(req, person) for person in found if person is not None]}


def batch_get_id(req: Req) -> Answer:
    """POST contact/v3/users/batch_get_id: unknown entries come back without user_id, code 0."""
    id_type = req.id_type()
    resigned_too = bool(req.body.get("include_resigned"))
    users = []
    for plural, attribute in (("emails", "email"), ("mobiles", "mobile")):
        for value in req.strings(plural, BATCH_MAX):
            person = req.world.directory.find(attribute, value) or _domestic(req, attribute, value)
            entry: dict[str, object] = {attribute: value}
            if person is not None and (resigned_too or not person.resigned):
                entry |= {"user_id": person.by_type(id_type), "status": shapes.status(person)}
            users.append(entry)
    return {"user_list": users}


def _domestic(req: Req, attribute: str, value: str) -> Person | None:
    """Mobiles of mainland China may be asked for without +86."""
    return req.world.directory.find("mobile", f"+86{value}") if attribute == "mobile" else None


def find_by_department(req: Req) -> Answer:
    """GET contact/v3/users/find_by_department: direct members."""
    department = _department(req, req.q("department_id"))
    people, mark = req.page(req.world.directory.members(department), 10, 50)
    return {"items": [_user(req, person) for person in people], **mark}


def _department(req: Req, value: str) -> Department:
    found = req.world.directory.department(_department_id_type(req), value)
    if found is None:
        raise FeishuError(40004, status=403)
    return found


def get_department(req: Req) -> Answer:
    """GET contact/v3/departments/:department_id."""
    department = _department(req, req.params["department_id"])
    return {"department": shapes.department(req.world, department, req.id_type(), _department_id_type(req))}


def children(req: Req) -> Answer:
    """GET contact/v3/departments/:department_id/children?fetch_child=true."""
    parent = _department(req, req.params["department_id"])
    found = list(req.world.directory.children(parent, req.q("fetch_child").lower() == "true"))
    items, mark = req.page(found, 10, 50)
    kind = _department_id_type(req)
    return {"items": [shapes.department(req.world, d, req.id_type(), kind) for d in items], **mark}


def scopes(req: Req) -> Answer:
    """GET contact/v3/scopes: the range is "all", so first-level departments and people without one."""
    directory = req.world.directory
    top = [d for d in directory.departments.values() if d.parent == ROOT and d.id != ROOT]
    kind, id_type = _department_id_type(req), req.id_type()
    loose = directory.members(directory.departments[ROOT])
    return {
        "department_ids": [shapes.department_id(d, kind) for d in top],
        "user_ids": [person.by_type(id_type) for person in loose],
        "group_ids": [],
        "has_more": False,
    }
