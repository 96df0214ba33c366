"""What type checkers have to refuse: every line that ends in `# bad`, and no other."""

from tollkeeper import Tollkeeper

from tests.typing.caller import client, create, tk

create(modell="m")  # bad
create.for_user("ada")(model=1)  # bad
create.for_user()  # bad
create(model="m", stream=True).upper()  # bad
tk.wrap(3)  # bad
tk.wrap(client.create, provider=1)  # bad
tk.get_usage(3)  # bad
str(tk.get_usage("ada").percent)  # bad
tk.report(user_id="ada", cost_usd=0.1)  # bad
Tollkeeper(outage="perhaps")  # bad
