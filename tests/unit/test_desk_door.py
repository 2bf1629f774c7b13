"""Who may come in to the loan desk, and with what every answer goes out."""

from __future__ import annotations

import pytest

from credit_cli.desk.app import desk_app
from credit_cli.desk.shell import STYLE_PATH
from tests.builders_desk import HOST, KEY, PORT, FakeOffice, Visitor, a_desk, a_visitor


def a_stranger() -> Visitor:
    return Visitor(desk_app(a_desk(), key=KEY, port=PORT))


def test_nobody_comes_in_without_the_key() -> None:
    for path in ("/", "/referrals", "/decisions/application-1", "/models", "/nowhere", "/?key=x"):
        page = a_stranger().get(path)

        assert page.status == 401, path
        assert "needs its key" in page.text
        assert "Personal loan" not in page.text, "what is inside is nobody's business"
        assert "set-cookie" not in page.headers


def test_the_key_of_the_address_becomes_a_cookie_and_leaves_the_address() -> None:
    stranger = a_stranger()

    page = stranger.get(f"/find?id=a%20b&key={KEY}")

    assert (page.status, page.place) == (303, "/find?id=a+b")
    cookie = page.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert stranger.get("/").status == 200


def test_cookies_of_other_servers_on_this_machine_shut_nobody_out() -> None:
    visitor = a_visitor()
    (own,) = (f"{name}={value}" for name, value in visitor.cookies.items())
    visitor.cookies.clear()

    for other in ('a={"b":"c"}', "a b=c", "a=b c", "=", "a"):
        assert visitor.get("/", cookie=f"{other}; {own}; {other}").status == 200, other
        assert visitor.get("/", cookie=f"{other}; {own}x").status == 401, other


def test_who_comes_from_a_file_is_led_on_by_a_page_since_a_strict_cookie_needs_one() -> None:
    page = a_stranger().get(f"/?key={KEY}", sec_fetch_site="cross-site")

    assert page.status == 200
    assert '<meta http-equiv="refresh" content="0; url=/">' in page.text
    assert "set-cookie" in page.headers


def test_the_key_leads_to_no_other_host() -> None:
    page = a_stranger().get(f"//evil.example/?key={KEY}")

    assert page.status == 303
    assert page.place.startswith("/")
    assert not page.place.startswith("//")


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", f"127.0.0.1:{PORT + 1}", ""]
)
def test_a_name_that_was_rebound_to_this_machine_gets_nothing(host: str) -> None:
    visitor = a_visitor()
    visitor.headers["host"] = host

    assert visitor.get("/").status == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": f"https://{HOST}"},
        {"origin": f"http://{HOST}.evil.example"},
    ],
)
def test_a_form_of_another_site_is_refused(headers: dict[str, str]) -> None:
    office = FakeOffice()

    page = a_visitor(office).post("/", {"application_id": "a"}, **headers)

    assert page.status == 403
    assert office.sent == []


def test_a_form_without_an_origin_comes_in_only_if_the_browser_calls_it_our_own() -> None:
    visitor = a_visitor()
    request = Visitor(visitor.app, visitor.cookies)
    form = {"content_type": "application/x-www-form-urlencoded"}

    without = request._ask("POST", "/", b"", {"content-type": form["content_type"]})
    own = request._ask(
        "POST", "/", b"", {"content-type": form["content_type"], "sec-fetch-site": "same-origin"}
    )

    assert (without.status, own.status) == (403, 400)


def test_every_answer_forbids_scripts_frames_and_caches() -> None:
    visitor = a_visitor()
    for path in ("/", "/find", "/nowhere", STYLE_PATH):
        headers = visitor.get(path).headers
        policy = headers["content-security-policy"]

        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert "frame-ancestors 'none'" in policy
        assert "form-action 'self'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        if path != STYLE_PATH:
            assert headers["cache-control"] == "no-store"


def test_pages_hold_no_script_and_no_style_but_widths() -> None:
    page = a_visitor().get("/?example=declined")

    assert "<script" not in page.text
    assert "<style" not in page.text
    assert " onclick" not in page.text
    assert "http://" not in page.text.replace("http://www.w3.org/2000/svg", "")


def test_a_page_that_is_not_there_is_said_within_the_desk() -> None:
    page = a_visitor().get("/nowhere")

    assert page.status == 404
    assert "There is no such page" in page.text
    assert "<nav" in page.text


def test_a_method_that_a_page_lacks_is_refused() -> None:
    assert a_visitor().post("/referrals", {}).status == 405


def test_a_form_of_any_size_is_not_read() -> None:
    page = a_visitor().post("/", b"x=" + b"a" * 300_000)

    assert page.status == 400
    assert "200,000 bytes" in page.text


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/plain", b"x=1"),
        ("application/x-www-form-urlencoded", b"x=\xff"),
        ("multipart/form-data", b"--a\r\n"),
        ("multipart/form-data; boundary=\xff", b""),
    ],
)
def test_what_is_no_form_is_told(kind: str, body: bytes) -> None:
    visitor = a_visitor()
    page = visitor._ask(
        "POST",
        "/",
        body,
        {
            "origin": f"http://{HOST}",
            "content-type": kind.encode("latin-1").decode("ascii", "ignore"),
        },
    )

    assert page.status == 400
