"""Wrong runs. Each line that is marked must be flagged by every checker, and no other line."""

from pydantic import BaseModel

from swarmlet import Limits, OpenAIModel, PartialRun, Run, StepFailed, Swarm, Trace, Usage, agent, current, each, graph, node, run, run_sync


class Task(BaseModel):
    text: str


class Code(BaseModel):
    source: str


class Database:
    async def query(self, sql: str) -> list[str]:
        return [sql]


@agent(Code)
def write(task: Task) -> str:
    return task.text


@node
def shorten(text: str, *, length: int) -> str:
    return text[:length]


@graph
def solve(task: Task) -> Code:
    return write(task)


def plain(task: Task) -> Code:
    return Code(source=task.text)


async def wrong_arguments(task: Task) -> None:
    await run(write, task.text)  # error
    await run(write)  # error
    await run(write, task, 3)  # error
    await run(write, tsk=task)  # error
    await run(shorten, "text", 3)  # error
    await run(shorten, "text", length="3")  # error
    await run(each(write), task)  # error
    await run(plain, task)  # error
    await run(write(task))  # error
    await run("write", task)  # error
    run_sync(solve, "text")  # error
    await run(solve, Code(source=""))  # error


async def wrong_results(task: Task) -> str:
    text: str = (await run(write, task)).output  # error
    codes: list[Code] = (await run(solve, task)).output  # error
    result: Run[str] = await run(write, task)  # error
    unwrapped: Code = await run(write, task)  # error
    wrong: Code = run_sync(each(write), [task]).output  # error
    print((await run(write, task)).output.text)  # error
    print((await run(write, task)).outputs)  # error
    print(run(write, task).output)  # error
    print(text, codes, result, unwrapped, wrong)
    return await run(write, task)  # error


async def in_a_swarm(task: Task) -> None:
    async with Swarm(model="gpt-4o-mini") as swarm:
        await swarm.run(write, task.text)  # error
        text: str = (await swarm.run(write, task)).output  # error
        async with swarm.stream(write, "text") as stream:  # error
            print(stream.id)
        async with swarm.stream(solve, task) as stream:
            async for event in stream:
                print(event.when)  # error
            output: str = stream.output  # error
            print(stream.outputs, output, text)  # error
        await swarm.start(write, task)  # error
        await swarm.run_as("one", write, task.text)  # error
        await swarm.run_as("one", write, task, progress=1)  # error
        await swarm.resume("one", write, progress="yes")  # error
        await swarm.fork("one", write, progress=1)  # error


bad_model = Swarm(model=4)  # error
bad_models = Swarm(models=["gpt-4o-mini"])  # error
bad_setting = Swarm(models_=())  # error
bad_limits = Swarm(limits=4)  # error
bad_journal = Swarm(journal=True)  # error
bad_resources = Swarm(resources=[Database()])  # error
bad_resource_key = Swarm(resources={"database": Database()})  # error
resources_in_a_list = write.with_options(resources=[Database()])  # error
resource_by_name = write.with_options(resources={"database": Database()})  # error
resource_without_type = write.with_options(resources=Database())  # error
unknown_limit = Limits(requests=3)  # error
limits_by_position = Limits(3)  # error
nameless = OpenAIModel()  # error


@node
async def resources(task: Task) -> list[str]:
    database = current().get(Database)
    rows: list[int] = await database.query(task.text)  # error
    await database.find(task.text)  # error
    name: str = current().get(Database)  # error
    current().get("Database")  # error
    current().find("Database")  # error
    await current().find(Database).query(task.text)  # error
    print(rows, name)
    return database.query("")  # error


def typos(usage: Usage, trace: Trace, part: PartialRun, error: StepFailed) -> None:
    print(usage.tokens)  # error
    print(usage.input_token)  # error
    print(usage + 1)  # error
    cents: int = usage.usd  # error
    print(trace.cost)  # error
    print(trace.root.child)  # error
    print(part.output, cents)  # error
    print(error.step)  # error
    usage.requests = 3  # error
