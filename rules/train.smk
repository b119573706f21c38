"""From clips to models, where the configuration has `trainings`.

REQUIRES the folders that a training reads, and models that it starts from
MAKES    work/trainings/NAME/model.json, the weights beside it; a checkpoint and a log on the way

What is trained lies beside the splits, as it belongs to none of them.
"""

TRAINED = f"{config.get('work', 'work')}/trainings/{{training}}/model.json"


def trained():
    """Every trained model."""
    return expand(TRAINED, training=CONFIG.trainings)


def models_of(family, preset):
    """The trained models that a preset needs."""
    return expand(TRAINED, training=CONFIG.trained(family, preset))


rule finetune:
    """Train one model; goes on from its checkpoint after a kill."""
    message:
        "finetune {wildcards.training}"
    input:
        lambda wildcards: models_of("trainings", wildcards.training),
    output:
        TRAINED,
    log:
        f"{config.get('work', 'work')}/logs/trainings/{{training}}.log",
    params:
        settings=lambda wildcards: CONFIG.training(wildcards.training),
        folder=lambda wildcards, output: str(Path(output[0]).parent),
        version=lambda wildcards: version("train", "trainings", wildcards.training),
    threads: lambda wildcards: CONFIG.trainings[wildcards.training].get("gpus", 1)
    resources:
        gpu=lambda wildcards: CONFIG.trainings[wildcards.training].get("gpus", 1),
    wildcard_constraints:
        training="|".join(map(re.escape, CONFIG.trainings)) or "none",
    shell:
        "{PYTHON:q} -m kit train --settings {params.settings:q} --processes {resources.gpu} --output {params.folder:q} > {log:q} 2>&1"
