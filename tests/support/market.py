"""A market for copies: a shop to copy from, a stall to copy to, and who may both."""

from __future__ import annotations

from registry_ui.copies import service as copies
from registry_ui.demo.artifacts import attestation, chart, signature, signature_tag
from registry_ui.demo.images import DOCKER, index
from registry_ui.models import Copy, CopyLine
from tests.support.html import Page
from tests.support.live import LiveSite, tiny

AMD, ARM = tiny("amd"), tiny("arm", platform="linux/arm64")
BOTH = index([AMD, ARM, attestation(AMD), attestation(ARM, artifact=True)])
CHART = chart({"name": "web", "version": "1.0.0"}, {"templates/a.yaml": "a"})
PROOF = signature(BOTH, "somewhere")
TAGS = {
    "1.0": BOTH,
    "latest": BOTH,
    "docker": index([tiny("d1", family=DOCKER), tiny("d2", family=DOCKER)], family=DOCKER),
    "plain": tiny("plain"),
    "chart": CHART,
    signature_tag(BOTH): PROOF,
}
LIVE = {tag: manifest.digest for tag, manifest in TAGS.items()}


class Market:
    """A shop to copy from, a stall to copy to, and alice, who may both."""

    def __init__(self, site: LiveSite) -> None:
        self.site = site
        self.source = f"{site.shop}/web"
        self.stall = f"{site.root}/deep/er/stall"
        self.target = f"{self.stall}/a/b/web"
        site.project(self.stall)
        site.user("alice")
        site.member(site.shop, "alice", "reporter")
        site.member(self.stall, "alice", "developer")

    def form(self, image: str = "web") -> str:
        return f"/{self.site.shop}/-/images/{image}/-/copy"

    def plan(
        self,
        *chosen: str,
        status: int = 302,
        by: str = "alice",
        source: str = "web",
        **more: str,
    ):
        """Send the form; return the row of the plan, or the page with the errors."""
        data = {"project": self.stall, "image": "a/b/web", "attached": "1", **more}
        data |= {"chosen": list(chosen)} if chosen else {"all": "1"}
        answer = self.site.browser(by).post(self.form(source), data)
        assert answer.status_code == status, answer.text
        if status != 302:
            return Page(answer.text)
        return self.copy(int(answer.location.rpartition("/")[2]))

    def copy(self, number: int) -> Copy:
        found: Copy = self.site.row(Copy, id=number)
        return found

    def confirm(self, plan: Copy, by: str = "alice", **more: str) -> Copy:
        """Confirm a plan; in tests the worker is at it at once."""
        address = f"/{self.stall}/-/copies/{plan.id}/confirm"
        answer = self.site.browser(by).post(address, more)
        assert answer.status_code == 302, answer.text
        return self.copy(plan.id)

    def start(self, plan: Copy) -> None:
        """Confirm a plan, without a worker."""
        with self.site.app.app_context():
            copies.start_planned(copies.Actor("alice"), plan.id, overwrite=False)

    def outcomes(self, copy: Copy) -> dict[str, str]:
        """What came of each tag, by its name at the target."""
        lines = self.site.rows(CopyLine, work_id=copy.id)
        return {line.reference.rpartition(":")[2]: line.outcome for line in lines}

    def details(self, copy: Copy) -> str:
        return " ".join(line.detail for line in self.site.rows(CopyLine, work_id=copy.id))


def open_market(shop: LiveSite) -> Market:
    """Push the tags to the shop, and let the index learn of them; return the market."""
    made = Market(shop)
    shop.push_and_index(made.source, TAGS)
    return made
