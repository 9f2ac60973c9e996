"""SageMaker's operations on associations between the entities of lineage, and its queries."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from local_sagemaker.api.pagination import listing, page, timestamp
from local_sagemaker.context import Caller, Context
from local_sagemaker.errors import invalid, not_found
from local_sagemaker.storage import lineage
from local_sagemaker.storage.lineage import ASSOCIATION, COMPONENT, TITLES
from local_sagemaker.storage.records import Record, Store

_LINEAGE_TYPES = {**TITLES, COMPONENT: "TrialComponent"}
_MAX_DEPTH = 10


def add_association(context: Context, request: Record, _: Caller) -> Record:
    """Associate two entities, for example a trial component with an artifact that it produced."""
    source, destination = request["SourceArn"], request["DestinationArn"]
    with context.store.together():
        for resource in (source, destination):
            _entity(context.store, resource)
        kind = request.get("AssociationType")
        if not lineage.associate(context.store, source, destination, kind):
            raise invalid(f"An association from {source} to {destination} already exists.")
    return request


def list_associations(context: Context, request: Record, _: Caller) -> Record:
    """Return the associations, filtered by their ends and types."""
    arns = ("SourceArn", "DestinationArn", "AssociationType")
    records = [
        _view(context.store, record)
        for record in context.store.all(ASSOCIATION)
        if _has(record, request, arns)
    ]
    types = ("SourceType", "DestinationType")
    matches = [record for record in records if _has(record, request, types)]
    return listing("ListAssociations", matches, request, "SourceArn")


def delete_association(context: Context, request: Record, _: Caller) -> Record:
    """Delete an association."""
    source, destination = request["SourceArn"], request["DestinationArn"]
    name = lineage.association_name(source, destination)
    if context.store.get(ASSOCIATION, name) is None:
        raise not_found(f"There is no association from {source} to {destination}.")
    context.store.remove(ASSOCIATION, name)
    return request


def query_lineage(context: Context, request: Record, _: Caller) -> Record:
    """Return the entities that are related to an entity, and the associations between them."""
    if not request.get("StartArns"):
        raise invalid("StartArns must have the ARN of the entity at which the query starts.")
    (start,) = request["StartArns"]
    _entity(context.store, start)
    if lineage.split(start)[0] not in _LINEAGE_TYPES:
        raise invalid(f"StartArns must name one of {', '.join(_LINEAGE_TYPES)}; got '{start}'.")
    graph = _Graph(context.store, request)
    vertices = graph.vertices(start)
    chosen, token = page(vertices, request, len(vertices) or 1)
    members = ("Arn", "Type", "LineageType")
    return {
        "Vertices": [{name: vertex[name] for name in members} for vertex in chosen],
        "Edges": graph.edges(vertices, chosen),
        **token,
    }


class _Graph:
    """The associations of the lineage, and what a query asks of them."""

    def __init__(self, store: Store, request: Mapping[str, Any]):
        self._store, self._request = store, request
        self._neighbours: dict[str, list[str]] = defaultdict(list)
        direction = request.get("Direction", "Both")
        self._associations = store.all(ASSOCIATION)
        for record in self._associations:
            source, destination = record["SourceArn"], record["DestinationArn"]
            if direction != "Ascendants":
                self._neighbours[source].append(destination)
            if direction != "Descendants":
                self._neighbours[destination].append(source)

    def vertices(self, start: str) -> list[Record]:
        """Return the entities that match; with edges, also those on the paths to them."""
        depths = self._depths(start)
        vertices = {arn: vertex for arn in depths if (vertex := self._vertex(arn))}
        matches = [arn for arn in vertices if arn != start and self._matches(vertices[arn])]
        if self._request.get("IncludeEdges"):
            on_paths = self._on_paths(depths, matches)
            matches = [arn for arn in vertices if arn == start or arn in on_paths]
        return [vertices[arn] for arn in matches]

    def edges(self, vertices: Iterable[Record], chosen: Iterable[Record]) -> list[Record]:
        """Return the associations of a page: one is on the page of the later of its ends."""
        if not self._request.get("IncludeEdges"):
            return []
        order = {vertex["Arn"]: index for index, vertex in enumerate(vertices)}
        on_page = {order[vertex["Arn"]] for vertex in chosen}
        return [
            {name: record[name] for name in ("SourceArn", "DestinationArn", "AssociationType")}
            for record in self._associations
            if record["SourceArn"] in order
            and record["DestinationArn"] in order
            and max(order[record["SourceArn"]], order[record["DestinationArn"]]) in on_page
        ]

    def _depths(self, start: str) -> dict[str, int]:
        """Return the entities within MaxDepth associations, with their distances, nearest first."""
        depths, frontier = {start: 0}, [start]
        for depth in range(1, self._request.get("MaxDepth", _MAX_DEPTH) + 1):
            found = [other for resource in frontier for other in self._neighbours[resource]]
            frontier = [
                resource
                for resource in dict.fromkeys(found)
                if resource not in depths and lineage.split(resource)[0] in _LINEAGE_TYPES
            ]
            depths.update(dict.fromkeys(frontier, depth))
        return depths

    def _on_paths(self, depths: Mapping[str, int], matches: Iterable[str]) -> set[str]:
        """Return the matches, and the entities on the shortest paths to them."""
        kept = set(matches)
        for resource in reversed(list(depths)):
            nearer = depths[resource] + 1
            if any(o in kept and depths[o] == nearer for o in self._neighbours[resource]):
                kept.add(resource)
        return kept

    def _vertex(self, resource: str) -> Record | None:
        """Return an entity as a vertex, with its record, or None if it was just deleted."""
        found = lineage.entity(self._store, resource)
        if found is None:
            return None
        kind = lineage.split(resource)[0]
        # A trial component has the type SageMakerTrainingJob in an association.
        shown = found["Type"].removeprefix("SageMaker") if kind == COMPONENT else found["Type"]
        return {**found, "Arn": resource, "Type": shown, "LineageType": _LINEAGE_TYPES[kind]}

    def _matches(self, vertex: Record) -> bool:
        filters, record = self._request.get("Filters") or {}, vertex["Record"]
        properties = record.get("Properties") or {}
        wanted = filters.get("Properties")
        return (
            vertex["Type"] in (filters.get("Types") or [vertex["Type"]])
            and vertex["LineageType"] in (filters.get("LineageTypes") or [vertex["LineageType"]])
            and (not wanted or any(properties.get(k) == value for k, value in wanted.items()))
            and _is_between(record["CreationTime"], filters, "Created")
            and _is_between(record["LastModifiedTime"], filters, "Modified")
        )


def _entity(store: Store, resource: str) -> Record:
    """Return Name, Type and Record of an entity.

    Raises: ServiceError if there is none.
    """
    found = lineage.entity(store, resource)
    if found is None:
        raise not_found(f"There is no entity '{resource}' in the lineage.")
    return found


def _view(store: Store, record: Record) -> Record:
    """Return an association with the names and types of its ends."""
    ends: Record = {}
    for end in ("Source", "Destination"):
        found = lineage.entity(store, record[f"{end}Arn"]) or {}
        ends |= {f"{end}{member}": found.get(member) for member in ("Name", "Type")}
    return {**record, **ends}


def _has(record: Record, request: Mapping[str, Any], members: Iterable[str]) -> bool:
    return all(request.get(name) in (None, record.get(name)) for name in members)


def _is_between(at: Any, filters: Mapping[str, Any], prefix: str) -> bool:
    after, before = (timestamp(filters.get(prefix + word)) for word in ("After", "Before"))
    return (after is None or at >= after) and (before is None or at <= before)
